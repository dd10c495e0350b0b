import { describe, expect, it } from 'vitest'
import { isIdempotentRepeat, kindClasses, publicResultOf } from '../../src/operations/classification.js'
import * as main from '../../src/index.js'
import { expectsPeer, operationActions, type OperationAction } from '../../machines/operation-vocabulary.js'
import { idOf, openFixture, specOf } from './support/registry.js'

const everyStatus = [
  'absent',
  'provisioning',
  'running',
  'retiring',
  'completed',
  'failed',
  'aborted',
  'cancelled',
  'retired',
  'terminated',
] as const

const terminal = ['completed', 'failed', 'aborted', 'cancelled', 'retired', 'terminated'] as const

describe('the closed sets of the room', () => {
  it('[O-2] [O-26] [O-27] stand in the main entry as arrays', () => {
    expect(main).toMatchObject({
      operationKinds: ['mob_member_child', 'background_tool_op', 'background_tool_capacity_slot'],
      operationStatuses: everyStatus.slice(1),
      liveStatuses: ['provisioning', 'running', 'retiring'],
      terminalStatuses: terminal,
      operationActions: expect.arrayContaining(['start', 'terminate']),
      publicResultClasses: ['missing_authority', 'running', 'completed', 'failed', 'cancelled'],
      completionWakeClasses: ['wake', 'ignore'],
      cursorConsumers: ['agent_applied', 'runtime_observed', 'runtime_injected'],
      failureReasons: ['threw', 'deadline', 'refused', 'lost'],
    })
    expect(main.publicResultClasses.filter((known) => !Object.values(publicResultOf).includes(known))).toEqual([])
    expect(Object.keys(publicResultOf)).toEqual(expect.arrayContaining([...everyStatus]))
  })
})

describe('kinds', () => {
  it('[O-27] only member children expect a peer channel', () => {
    expect(expectsPeer('mob_member_child')).toBe(true)
    expect(expectsPeer('background_tool_op')).toBe(false)
    expect(expectsPeer('background_tool_capacity_slot')).toBe(false)
  })

  it('[O-27] have the classes of the table', () => {
    expect(kindClasses).toEqual({
      mob_member_child: { feed: 'emit', wake: 'ignore', durability: 'retain' },
      background_tool_op: { feed: 'emit', wake: 'wake', durability: 'retain' },
      background_tool_capacity_slot: { feed: 'suppress', wake: 'ignore', durability: 'discard' },
    })
  })

  it('[O-27] background operations wake an idle runtime, member children and capacity slots do not; the id need not exist', async () => {
    const { operations } = await openFixture()
    expect(operations.classifyCompletionWake(idOf(9), 'background_tool_op')).toBe('wake')
    expect(operations.classifyCompletionWake(idOf(9), 'mob_member_child')).toBe('ignore')
    expect(operations.classifyCompletionWake(idOf(9), 'background_tool_capacity_slot')).toBe('ignore')
  })
})

describe('statuses', () => {
  it('[O-26] have the public results of the table', () => {
    expect(publicResultOf).toEqual({
      absent: 'missing_authority',
      provisioning: 'running',
      running: 'running',
      retiring: 'running',
      completed: 'completed',
      failed: 'failed',
      terminated: 'failed',
      aborted: 'cancelled',
      cancelled: 'cancelled',
      retired: 'cancelled',
    })
  })

  it('are terminal exactly when they are never left', async () => {
    const { operations } = await openFixture()
    const ended = everyStatus.filter((status) => operations.classifyTerminality(idOf(9), status) === 'terminal')
    expect(ended).toEqual(terminal)
  })

  it('[O-26] a retiring operation is not terminal, has no outcome and passes for running', async () => {
    const { operations, run } = await openFixture()
    await run([1])
    await operations.requestRetire(idOf(1))
    expect(operations.snapshot(idOf(1))).toMatchObject({ status: 'retiring', terminal: false, outcome: null })
    expect(operations.classifyPublicResult(idOf(1))).toBe('running')
    expect(operations.classifyPublicResult(idOf(2))).toBe('missing_authority')
  })
})

describe('a repeat that was refused', () => {
  /** The statuses in which each action counts as done already (O-25). */
  const successes: Record<OperationAction, readonly string[]> = {
    start: ['running'],
    fail: [],
    peer_ready: terminal,
    progress_reported: terminal,
    complete: [],
    abort: terminal,
    cancel: [],
    retire_requested: ['retiring', ...terminal],
    retire_completed: terminal,
    terminate: [],
  }

  it.each(operationActions)('[O-25] counts as done where the table says so: %s', (action) => {
    expect(everyStatus.filter((status) => isIdempotentRepeat(status, action))).toEqual(successes[action])
  })

  it('[O-25] is classified by the status of the operation as it is now', async () => {
    const { operations, finish } = await openFixture()
    await operations.registerOperation(specOf(1))
    expect(operations.classifyTransitionIdempotence(idOf(1), 'start')).toBe('not_idempotent')
    await operations.provisioningSucceeded(idOf(1))
    expect(operations.classifyTransitionIdempotence(idOf(1), 'start')).toBe('idempotent')
    await finish(2)
    expect(operations.classifyTransitionIdempotence(idOf(2), 'abort')).toBe('idempotent')
    expect(operations.classifyTransitionIdempotence(idOf(2), 'complete')).toBe('not_idempotent')
    expect(operations.classifyTransitionIdempotence(idOf(3), 'retire_requested')).toBe('not_idempotent')
  })
})
