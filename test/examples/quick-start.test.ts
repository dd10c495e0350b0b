import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'

const home = process.cwd()
let place: string

beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'stateward-quick-start-'))
  process.chdir(place)
})
afterEach(async () => {
  process.chdir(home)
  vi.restoreAllMocks()
  await rm(place, { recursive: true })
})

/** Runs the example as it stands in the README and returns what it prints. */
async function runExample(): Promise<unknown[][]> {
  const log = vi.spyOn(console, 'log').mockReset().mockReturnValue()
  vi.resetModules()
  await import('../../examples/quick-start.js')
  return log.mock.calls
}

it('the example of the README waits for both operations and shows their completions', async () => {
  const [listed, asked, ...feed] = await runExample()
  expect(listed?.[1]).toMatchObject({ type: 'completed', result: { content: '1 files' } })
  expect(asked?.[1]).toMatchObject({ type: 'completed', result: { content: 'the answer' } })
  expect(feed).toEqual([
    [1, 'list files', 'completed'],
    [2, 'ask a slow service', 'completed'],
  ])
})

it('the example of the README, run again, still has the completions of the run before', async () => {
  await runExample()
  const [, , ...feed] = await runExample()
  expect(feed.map(([seq]) => seq)).toEqual([1, 2, 3, 4])
})
