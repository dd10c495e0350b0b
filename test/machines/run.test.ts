import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createActor, getNextSnapshot, type SnapshotFrom } from 'xstate'
import { adjacencyMapToArray, getAdjacencyMap } from 'xstate/graph'
import { attemptCountLimit, runChart, runMachine, type RunMove, type RunPlace } from '../../machines/run.js'
import { isTerminalRunState, runStates, type AttemptId, type RunState } from '../../machines/run-vocabulary.js'

type RunStates = RunPlace['value']
type RunMoveType = RunMove['type']

const runMoveTypes = runMachine.events as readonly RunMoveType[]

/** T-30, edge by edge; a missing pair is illegal. */
const edges: Record<RunState, readonly RunState[]> = {
  scheduled: ['ready', 'cancelled'],
  ready: ['leased', 'cancelled'],
  leased: ['running', 'ready', 'cancelled'],
  running: ['retry_wait', 'suspended', 'completed', 'failed', 'cancelled'],
  retry_wait: ['ready', 'failed', 'cancelled'],
  suspended: ['ready', 'cancelled'],
  completed: [],
  failed: [],
  cancelled: [],
}

const attempts = ['idle', 'active', 'waiting'] as const
const leases = ['free', 'held'] as const

/** Every combination the regions can be in together; an attempt is active only while running, a lease never at the end. */
const reachable: readonly RunStates[] = runStates.flatMap((lifecycle) =>
  attempts.flatMap((attempt) =>
    leases.flatMap((lease) => {
      const canBeActive = attempt === 'idle' || lifecycle === 'running'
      const canBeHeld = lease === 'free' || lifecycle === 'ready' || lifecycle === 'leased' || lifecycle === 'running'
      return canBeActive && canBeHeld ? [{ lifecycle, attempt, lease }] : []
    }),
  ),
)

/**
 * T-30, T-141 read as a table: where a move leads, written down independently of the chart.
 */
function expected({ lifecycle, attempt, lease }: RunStates, type: RunMoveType): RunStates | undefined {
  const to = (state: RunState): RunStates => ({
    lifecycle: state,
    attempt: 'idle',
    lease: ['completed', 'failed', 'cancelled'].includes(state) ? 'free' : lease,
  })
  const isOpen = attempt !== 'idle'
  const isHeld = lease === 'held'
  switch (type) {
    case 'to_ready':
      if (lifecycle === 'leased' && isHeld) return undefined
      return edges[lifecycle].includes('ready') ? to('ready') : undefined
    case 'to_retry_wait':
    case 'to_suspended':
    case 'suspend':
      if (lifecycle !== 'running' || isOpen || isHeld) return undefined
      return to(type === 'to_retry_wait' ? 'retry_wait' : 'suspended')
    case 'resume':
      return lifecycle === 'suspended' ? to('ready') : undefined
    case 'to_leased':
      return lifecycle === 'ready' ? to('leased') : undefined
    case 'to_running':
      return lifecycle === 'leased' ? to('running') : undefined
    case 'to_completed':
      return lifecycle === 'running' && !isOpen ? to('completed') : undefined
    case 'to_failed':
      return (lifecycle === 'running' && !isOpen) || lifecycle === 'retry_wait' ? to('failed') : undefined
    case 'to_cancelled':
      return edges[lifecycle].includes('cancelled') ? to('cancelled') : undefined
    case 'start_attempt':
      return lifecycle === 'running' && !isOpen ? { lifecycle, attempt: 'active', lease } : undefined
    case 'finish_attempt':
      return lifecycle === 'running' && isOpen ? { lifecycle, attempt: 'idle', lease } : undefined
    case 'wait':
      return attempt === 'active' ? { lifecycle, attempt: 'waiting', lease } : undefined
    case 'go_on':
      return attempt === 'waiting' ? { lifecycle, attempt: 'active', lease } : undefined
    case 'acquire_lease':
      return ['ready', 'leased'].includes(lifecycle) && !isHeld ? { lifecycle, attempt, lease: 'held' } : undefined
    case 'extend_lease':
      return ['leased', 'running'].includes(lifecycle) && isHeld ? { lifecycle, attempt, lease } : undefined
    case 'close_lease':
      if (!isHeld) return undefined
      return { lifecycle: lifecycle === 'leased' ? 'ready' : lifecycle, attempt, lease: 'free' }
  }
}

function start(): SnapshotFrom<typeof runMachine> {
  return createActor(runMachine).getSnapshot()
}

const a1 = 'a1' as AttemptId
const a2 = 'a2' as AttemptId

describe('the run chart', () => {
  it('[T-30] allows exactly the 17 edges', () => {
    const found = runStates.flatMap((from) =>
      runStates
        .filter((to) => to !== 'scheduled')
        .filter((to) => runChart.isPossible({ lifecycle: from, attempt: 'idle', lease: 'free' }, `to_${to}`))
        .map((to) => `${from} ${to}`),
    )
    expect(found.sort()).toEqual(runStates.flatMap((from) => edges[from].map((to) => `${from} ${to}`)).sort())
    expect(found).toHaveLength(17)
  })

  it('[T-30] allows no self-edge and nothing out of a terminal state', () => {
    for (const state of runStates) {
      if (state !== 'scheduled') {
        expect(runChart.isPossible({ lifecycle: state, attempt: 'idle', lease: 'free' }, `to_${state}`)).toBe(false)
      }
      if (!isTerminalRunState(state)) continue
      for (const type of runMoveTypes) {
        expect(runChart.isPossible({ lifecycle: state, attempt: 'idle', lease: 'free' }, type)).toBe(false)
      }
    }
  })

  it('[T-32] does not count suspended as terminal', () => {
    expect(runStates.filter(isTerminalRunState)).toEqual(['completed', 'failed', 'cancelled'])
  })

  it('[T-141] leads every reachable configuration by every move where the table says', () => {
    for (const from of reachable) {
      for (const type of runMoveTypes) {
        expect({ from, type, to: agreeingMoveFrom(from, type) }).toEqual({ from, type, to: expected(from, type) })
      }
    }
  })

  it('finds in its table exactly the configurations that can be reached', () => {
    const all = runStates.flatMap((lifecycle) =>
      attempts.flatMap((attempt) => leases.map((lease) => ({ lifecycle, attempt, lease }))),
    )
    expect(all.filter((states) => runChart.isReachable(states))).toEqual(reachable)
  })

  it('reaches exactly the configurations that its guards leave possible, whatever path is taken', () => {
    const moves: RunMove[] = [
      ...runMoveTypes.flatMap((type) => (isPlain(type) ? [{ type } as RunMove] : [])),
      { type: 'start_attempt', attemptId: a1 },
      { type: 'start_attempt', attemptId: a2 },
      { type: 'finish_attempt', attemptId: a1 },
      { type: 'finish_attempt', attemptId: a2 },
      { type: 'acquire_lease', lease: { owner: 'one', expiresAtMs: 5, fencingToken: 1 } },
      { type: 'extend_lease', owner: 'one', expiresAtMs: 6 },
      { type: 'close_lease', owner: 'one', expiresAtMs: 5 },
      { type: 'close_lease', owner: 'one', expiresAtMs: 6 },
    ]
    const seen = adjacencyMapToArray(getAdjacencyMap(runMachine, { events: moves }))
    const values = new Set(seen.map(({ state }) => JSON.stringify(state.value)))
    expect([...values].sort()).toEqual(reachable.map((value) => JSON.stringify(value)).sort())
    for (const { state, event, nextState } of seen) {
      const isRefused = !state.can(event)
      if (isRefused) expect(nextState.value).toEqual(state.value)
      else expect(nextState.value).toEqual(expected(state.value, event.type))
      if (isRefused && expected(state.value, event.type) !== undefined) {
        expect(disagrees(state, event)).toBe(true)
      }
    }
  })

  it('remembers the attempt and the lease of a whole life', () => {
    const actor = createActor(runMachine).start()
    const lease = { owner: 'one', expiresAtMs: 50, fencingToken: 9 }
    const moves: RunMove[] = [
      { type: 'to_ready' },
      { type: 'to_leased' },
      { type: 'acquire_lease', lease },
      { type: 'to_running' },
      { type: 'start_attempt', attemptId: a1 },
      { type: 'extend_lease', owner: 'one', expiresAtMs: 60 },
    ]
    for (const move of moves) actor.send(move)
    expect(actor.getSnapshot().context).toEqual({
      activeAttemptId: 'a1',
      attemptCount: 1,
      attemptIds: ['a1'],
      lease: { owner: 'one', expiresAtMs: 60, fencingToken: 9 },
    })
    actor.send({ type: 'to_cancelled' })
    expect(actor.getSnapshot().value).toEqual({ lifecycle: 'cancelled', attempt: 'idle', lease: 'free' })
    expect(actor.getSnapshot().context).toEqual({
      activeAttemptId: undefined,
      attemptCount: 1,
      attemptIds: ['a1'],
      lease: undefined,
    })
  })

  it('refuses an attempt id that was used before', () => {
    let snapshot = start()
    for (const type of ['to_ready', 'to_leased', 'to_running'] as const)
      snapshot = getNextSnapshot(runMachine, snapshot, { type })
    snapshot = getNextSnapshot(runMachine, snapshot, { type: 'start_attempt', attemptId: a1 })
    snapshot = getNextSnapshot(runMachine, snapshot, { type: 'finish_attempt', attemptId: a1 })
    expect(snapshot.can({ type: 'start_attempt', attemptId: a1 })).toBe(false)
    expect(snapshot.can({ type: 'start_attempt', attemptId: a2 })).toBe(true)
  })

  it('[T-33] stops counting attempts at the limit instead of wrapping', () => {
    const context = { activeAttemptId: undefined, attemptCount: attemptCountLimit, attemptIds: [], lease: undefined }
    expect(attemptCountLimit).toBe(4_294_967_295)
    const value: RunStates = { lifecycle: 'running', attempt: 'idle', lease: 'free' }
    const start: RunMove = { type: 'start_attempt', attemptId: a1 }
    expect(runChart.select({ value, context }, start)).toMatchObject({ isTaken: false, guard: 'canCountAttempt' })
    const before = { ...context, attemptCount: attemptCountLimit - 1 }
    expect(runChart.move({ value, context: before }, start)?.context.attemptCount).toBe(attemptCountLimit)
    expect(runMachine.resolveState({ value, context }).can(start)).toBe(false)
  })

  it('stays equal to its table over random walks', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...runMoveTypes), { maxLength: 40 }), (types) => {
        let snapshot = start()
        let attempt = 0
        for (const type of types) {
          const { lease, activeAttemptId } = snapshot.context
          const move = agreeingMove(type, {
            attempt: attempt++,
            active: activeAttemptId,
            expiresAtMs: lease?.expiresAtMs ?? 1,
          })
          const next = runChart.move(snapshot, move)
          expect(snapshot.can(move)).toBe(next !== undefined)
          snapshot = getNextSnapshot(runMachine, snapshot, move)
          if (next === undefined) continue
          expect(snapshot.value).toEqual(next.value)
          expect(snapshot.context).toEqual(next.context)
        }
      }),
      { numRuns: 100 },
    )
  })
})

/** Where a move leads when its data agrees. */
function agreeingMoveFrom(value: RunStates, type: RunMoveType): RunStates | undefined {
  const isHeld = value.lease === 'held'
  const context = {
    activeAttemptId: value.attempt === 'idle' ? undefined : a1,
    attemptCount: 1,
    attemptIds: [a1],
    lease: isHeld ? { owner: 'one', expiresAtMs: 1, fencingToken: 1 } : undefined,
  }
  return runChart.move({ value, context }, agreeingMove(type, { attempt: 2, active: a1, expiresAtMs: 1 }))?.value
}

function isPlain(type: RunMoveType): boolean {
  return type.startsWith('to_') || ['suspend', 'resume', 'wait', 'go_on'].includes(type)
}

function disagrees({ context }: SnapshotFrom<typeof runMachine>, move: RunMove): boolean {
  if (move.type === 'start_attempt') return context.attemptIds.includes(move.attemptId)
  if (move.type === 'finish_attempt') return context.activeAttemptId !== move.attemptId
  if (move.type === 'extend_lease') return move.expiresAtMs < (context.lease?.expiresAtMs ?? 0)
  return move.type === 'close_lease' && move.expiresAtMs !== context.lease?.expiresAtMs
}

function agreeingMove(
  type: RunMoveType,
  { attempt, active, expiresAtMs }: { attempt: number; active: AttemptId | undefined; expiresAtMs: number },
): RunMove {
  switch (type) {
    case 'start_attempt':
      return { type, attemptId: `fresh-${attempt}` as AttemptId }
    case 'finish_attempt':
      return { type, attemptId: active ?? a1 }
    case 'acquire_lease':
      return { type, lease: { owner: 'one', expiresAtMs: 1, fencingToken: attempt } }
    case 'extend_lease':
      return { type, owner: 'one', expiresAtMs: expiresAtMs + 1 }
    case 'close_lease':
      return { type, owner: 'one', expiresAtMs }
    default:
      return { type }
  }
}
