import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type * as engineModule from '../../machines/engine.js'
import type * as runModule from '../../machines/run.js'
import { attemptCountLimit, runMachine } from '../../machines/run.js'
import type { TaskCommand, TaskView } from '../../src/tasks/index.js'
import type * as authority from './support/authority.js'
import { finish, held, lease, move, reach, start, working } from './support/commands.js'
import { A1, A2, R1, T1 } from './support/ids.js'

type Chart = 'run' | 'engine'
type Scenario = readonly [guard: string, before: readonly TaskCommand[], refused: TaskCommand, code: string]

/** Of the lease that `held` and `working` hold. */
const token = { fencingToken: 5 }

/** For each guard that can refuse, a command that nothing else in the chart stands against. */
const runScenarios: readonly Scenario[] = [
  ['isRunning', reach.leased, start(), 'attempt_start_requires_running'],
  ['isFreshAttempt', [...working, finish(A1, undefined, token)], start(A1, token), 'attempt_id_reused'],
  ['isActiveAttempt', working, finish(A2, undefined, token), 'attempt_finish_attempt_mismatch'],
  ['isAttemptIdle', working, move('running', 'completed', token), 'attempt_still_active'],
  ['isLeaseFree', held, move('leased', 'ready', token), 'lease_still_held'],
  ['isHeldByOwner', held, lease('lease_release', { owner: 'other' }), 'lease_owner_mismatch'],
  ['isHeldExpiry', held, lease('lease_release', { expiresAtMs: 4999 }), 'lease_expiry_mismatch'],
  ['isLaterExpiry', held, lease('lease_heartbeat', { expiresAtMs: 4999 }), 'lease_heartbeat_expiry_regression'],
  ['isLeasable', reach.scheduled, lease('lease_acquire'), 'lease_invalid_run_state'],
  [
    'isHeartbeating',
    [...reach.ready, lease('lease_acquire')],
    lease('lease_heartbeat', { expiresAtMs: 6000 }),
    'lease_invalid_run_state',
  ],
]

const engineScenarios: readonly Scenario[] = [
  ['followsPause', [{ type: 'engine_pause', atMs: 10 }], { type: 'engine_resume', atMs: 9 }, 'resume_before_pause'],
]

/** Guards of the run chart without a scenario: see the test of the count; the others close a region, or are never false where they are asked. */
const others = ['canCountAttempt', 'isTerminal', 'isLeaseClosable']

/** The room anew, with a chart in which one guard lets everything pass. */
async function roomWithout(chart: Chart | undefined, guard = ''): Promise<typeof authority> {
  const { ChartTable } = await import('../../machines/chart-table.js')
  const guards = { [guard]: () => true }
  vi.doMock('../../machines/run.js', async (original) => {
    const stock = await original<typeof runModule>()
    if (chart !== 'run') return stock
    const machine = stock.runMachine.provide({ guards })
    return { ...stock, runMachine: machine, runChart: new ChartTable(machine) }
  })
  vi.doMock('../../machines/engine.js', async (original) => {
    const stock = await original<typeof engineModule>()
    if (chart !== 'engine') return stock
    const machine = stock.engineMachine.provide({ guards })
    return { ...stock, engineMachine: machine, engineChart: new ChartTable(machine) }
  })
  return import('./support/authority.js')
}

beforeEach(() => void vi.resetModules())
afterEach(() => {
  vi.doUnmock('../../machines/run.js')
  vi.doUnmock('../../machines/engine.js')
  // Files of one process share their modules.
  vi.resetModules()
})

describe.each([
  ['run', runScenarios],
  ['engine', engineScenarios],
] as const)('the %s chart is the only place that refuses:', (chart, scenarios) => {
  it.each(scenarios)('%s does', async (_, before, refused, code) => {
    const { openTasks, submitAll } = await roomWithout(undefined)
    const room = await openTasks()
    await submitAll(room, before)
    await expect(room.authority.submit(refused)).rejects.toMatchObject({ code })
  })

  it.each(scenarios)(
    'where %s lets pass, nothing else refuses, live, in replay or from a snapshot',
    async (...scenario) => {
      const [guard, before, refused] = scenario
      const { openTasks, reopenTasks, stateOf, submitAll } = await roomWithout(chart, guard)
      const room = await openTasks()
      await submitAll(room, [...before, refused])
      const live = stateOf(room)
      const replayed = await reopenTasks(room)
      expect(stateOf(replayed)).toEqual(live)
      await replayed.lane.compact()
      expect(stateOf(await reopenTasks(replayed))).toEqual(live)
    },
  )
})

describe('the run chart', () => {
  it('has no guard that nobody looked at here', () => {
    const covered = [...runScenarios.map(([guard]) => guard), ...others]
    expect(Object.keys(runMachine.implementations.guards).toSorted()).toEqual(covered.toSorted())
  })

  it.each([
    ['stands', undefined],
    ['lets pass', 'run'],
  ] as const)('counts attempts as far as its guard says, which %s', async (_, chart) => {
    await roomWithout(chart, 'canCountAttempt')
    const { attemptStart } = await import('../../src/tasks/attempt.js')
    const { step } = await import('../../src/tasks/run.js')
    const run = {
      id: R1,
      taskId: T1,
      state: 'running',
      attemptCount: attemptCountLimit,
      createdAtMs: 1,
      scheduledAtMs: 1,
      effectivePriority: 0,
      lastStateChangeAtMs: 1,
      history: [],
      attempts: [],
    } as const
    const view = { run: () => run, task: () => undefined } as unknown as TaskView
    const next = step(run, { type: 'start_attempt', attemptId: A1 }, { atMs: 2 })
    if (chart === undefined) {
      expect(() => attemptStart.decide(view, start(), 9)).toThrow(
        expect.objectContaining({ code: 'attempt_count_overflow' }),
      )
      expect(next).toBeUndefined()
    } else {
      expect(attemptStart.decide(view, start(), 9).event).toMatchObject({ type: 'attempt_started', attemptId: A1 })
      expect(next?.attemptCount).toBe(attemptCountLimit + 1)
    }
  })
})
