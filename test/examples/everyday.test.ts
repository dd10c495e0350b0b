import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'

const home = process.cwd()
let place: string

beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'stateward-everyday-'))
  process.chdir(place)
})
afterEach(async () => {
  process.chdir(home)
  vi.restoreAllMocks()
  await rm(place, { recursive: true })
})

async function runExample(): Promise<unknown[][]> {
  const log = vi.spyOn(console, 'log').mockReset().mockReturnValue()
  vi.resetModules()
  await import('../../examples/everyday.js')
  return log.mock.calls
}

it('the second example of the README writes its report, also when it is started again', async () => {
  const said = [
    ['All about cranes at home.'],
    ['All about cranes abroad.'],
    // The one file of the folder is the data directory.
    ['guide, reference and 1 files'],
  ]
  expect(await runExample()).toEqual(said)
  expect(await runExample()).toEqual(said)
})
