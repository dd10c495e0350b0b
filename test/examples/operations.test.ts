import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'

const home = process.cwd()
let place: string

beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'stateward-examples-'))
  process.chdir(place)
})
afterEach(async () => {
  process.chdir(home)
  vi.restoreAllMocks()
  await rm(place, { recursive: true })
})

/** Runs an example of the operations guide and returns what it prints. */
async function printedBy(name: string): Promise<unknown[][]> {
  const log = vi.spyOn(console, 'log').mockReset()
  await import(`../../examples/operations/${name}.ts`)
  return log.mock.calls
}

it('the everyday example is refused its fourth operation and sees how the other three ended', async () => {
  const [refusal, built, searched, linted, ended] = await printedBy('everyday')
  expect(refusal).toEqual(['max_concurrent_exceeded', { limit: 3, active: 3 }])
  expect(built).toMatchObject([{ type: 'completed', result: { content: '{"files":12}', isError: false } }])
  expect(searched).toEqual([{ type: 'cancelled', reason: 'found it elsewhere' }])
  expect(linted).toMatchObject([{ type: 'failed', error: '3 problems', reason: 'threw', cause: { name: 'Error' } }])
  expect(ended).toEqual([['build: completed', 'lint: failed', 'search: cancelled']])
})

it('the registry example retires a member, once and for all', async () => {
  expect(await printedBy('registry')).toEqual([
    ['first request: accepted'],
    ['second request:', 'idempotent'],
    [{ type: 'retired' }],
    ['retired', 'cancelled'],
  ])
})

it('the completions example reads every completion once', async () => {
  expect(await printedBy('completions')).toEqual([
    [1, 'fetch', 'completed'],
    [2, 'parse', 'completed'],
    [3, 'index', 'completed'],
    [3, 3],
  ])
})

it('the turn example waits for the one tool and is shown both completions at its boundary', async () => {
  expect(await printedBy('turn')).toEqual([
    ['both are done'],
    [['read the config: ok']],
    [['index the docs: completed', 'read the config: completed']],
    ['finished'],
  ])
})

it('the idle-wake example wakes once for two completions', async () => {
  expect(await printedBy('idle-wake')).toEqual([
    ['run:', 'index everything, I will be back'],
    ['run:', 'detached_background_op_completed'],
    ['shown:', 'index src, index docs'],
  ])
})

it('the recovery example finds its report, its cursor and its epoch again', async () => {
  const [outcome, cursors, moved] = await printedBy('recovery')
  expect(outcome).toMatchObject([{ type: 'completed', result: { content: 'page 1' } }])
  expect(cursors).toEqual([1, 1])
  expect(moved).toEqual([true, 1])
})
