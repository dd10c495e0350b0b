import { transition } from 'xstate'
import { runConditions, runMachine, type RunCondition, type RunContext, type RunMove } from './run.js'
import { runStates, type AttemptId, type RunState } from './run-vocabulary.js'

/** Where the three regions of a run stand, data aside. */
export interface RunConfiguration {
  readonly lifecycle: RunState
  readonly attempt: 'idle' | 'active'
  readonly lease: 'free' | 'held'
}

/** Type of a {@link RunMove}. */
export type RunMoveType = RunMove['type']

/** Every move the chart knows. */
export const runMoveTypes = [
  'to_ready',
  'to_leased',
  'to_running',
  'to_retry_wait',
  'to_suspended',
  'to_completed',
  'to_failed',
  'to_canceled',
  'suspend',
  'resume',
  'start_attempt',
  'finish_attempt',
  'acquire_lease',
  'extend_lease',
  'close_lease',
] as const satisfies readonly RunMoveType[]

/** What a move compares besides states, in the order in which a refusal is looked for. */
const conditionsOf: Partial<Record<RunMoveType, readonly RunCondition[]>> = {
  start_attempt: ['isFreshAttempt', 'canCountAttempt'],
  finish_attempt: ['isActiveAttempt'],
  extend_lease: ['isHeldByOwner', 'isLaterExpiry'],
  close_lease: ['isHeldByOwner', 'isHeldExpiry'],
}

/** What the chart answered, by move and state, then by {@link placeOf}; absent until it is asked. */
const answers = Object.fromEntries(
  runMoveTypes.map((type) => [type, Object.fromEntries(runStates.map((state) => [state, []]))]),
) as unknown as Readonly<Record<RunMoveType, Readonly<Record<RunState, (RunConfiguration | 'refused')[]>>>>

/**
 * Where a move leads when its data agrees, `undefined` where the chart refuses it.
 *
 * Each cell is asked of the chart once: a macrostep per command would cost more than the rest of the command.
 */
export function moveFrom(from: RunConfiguration, type: RunMoveType): RunConfiguration | undefined {
  const cells = answers[type][from.lifecycle]
  const place = placeOf(from)
  const answer = (cells[place] ??= askChart(from, type) ?? 'refused')
  return answer === 'refused' ? undefined : answer
}

/** A number for each combination of the two small regions. */
function placeOf({ attempt, lease }: RunConfiguration): number {
  return (attempt === 'active' ? 2 : 0) + (lease === 'held' ? 1 : 0)
}

/** The first condition on which the data of a move fails, if any. */
export function failedCondition(context: RunContext, move: RunMove): RunCondition | undefined {
  return conditionsOf[move.type]?.find((condition) => !runConditions[condition](context, move))
}

function askChart(from: RunConfiguration, type: RunMoveType): RunConfiguration | undefined {
  const snapshot = runMachine.resolveState({ value: { ...from }, context: agreeingContext(from) })
  const move = agreeingMove(type)
  if (!snapshot.can(move)) return undefined
  const [next] = transition(runMachine, snapshot, move)
  return next.value
}

const attemptId = 'attempt' as AttemptId
const lease = { owner: 'owner', expiry: 1, fencingToken: 1 }

function agreeingContext(from: RunConfiguration): RunContext {
  return {
    activeAttemptId: from.attempt === 'active' ? attemptId : undefined,
    attemptCount: 0,
    attemptIds: [],
    lease: from.lease === 'held' ? lease : undefined,
  }
}

function agreeingMove(type: RunMoveType): RunMove {
  switch (type) {
    case 'start_attempt':
    case 'finish_attempt':
      return { type, attemptId }
    case 'acquire_lease':
      return { type, lease }
    case 'extend_lease':
    case 'close_lease':
      return { type, owner: lease.owner, expiry: lease.expiry }
    default:
      return { type }
  }
}
