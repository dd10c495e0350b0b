import * as v from 'valibot'
import type { RunMove } from '../../machines/run.js'
import { InvalidInputError } from '../base/errors.js'
import { strictSchema } from '../base/options.js'
import { commandDefiner } from '../state/command.js'
import { eventDefiner } from '../state/event.js'
import { checkParts, outcomeSchema } from './attempt-outcome.js'
import { attemptRun, checkFinish, checkStart } from './attempt.js'
import { checkAmount, consume, consumptionSchema, dimensionSchema } from './budget.js'
import { TaskError } from './errors.js'
import type { AttemptId, ReservationId, RunId, SubscriptionId } from './ids.js'
import { checkAcquire, checkHeld } from './lease.js'
import {
  checkReserved,
  checkSpent,
  reserve,
  settle,
  settlementSchema,
  type ReservationReads,
  type ReservationRows,
} from './reservation.js'
import {
  checkCreate,
  checkReplayedState,
  checkResume,
  checkRetryAt,
  checkSuspend,
  checkTransition,
  insertRun,
  knownRun,
  putRun,
  replayedMoves,
  replayedRun,
} from './run-commands.js'
import {
  advance,
  checkOwner,
  checkRunIds,
  inMotion,
  rowOf,
  runInstanceSchema,
  type Lease,
  type MoveFacts,
  type MovingRun,
  type Run,
  type SelectedMove,
  type StandingRun,
} from './run.js'
import { fenced, idSchema, labelSchema, naturalSchema, ofAttempt, optionalTime } from './scalars.js'
import { checkTriggers, triggerSubscription, type SubscriptionReads, type SubscriptionRows } from './subscription.js'

/**
 * A dispatcher often makes several moves of a run at once. Here, each such group of moves is one command and one event.
 * The command does what the commands of its moves would do in sequence: it checks what they would check, in their
 * order, and is refused as the first of them would be. The run passes through every state on the way, and its history
 * shows them.
 */
const defineEvent = eventDefiner<ReservationRows & SubscriptionRows, ReservationReads & SubscriptionReads>()
const defineCommand = commandDefiner<ReservationReads & SubscriptionReads>()

const reservation = strictSchema({
  reservationId: idSchema<ReservationId>(),
  dimension: dimensionSchema,
  amount: naturalSchema,
})

const beginEntries = {
  ...ofAttempt,
  /** Present for a run that becomes ready only now; otherwise it has to be ready. */
  previousState: v.exactOptional(v.literal('scheduled')),
  /** Owner of the lease; not empty. */
  owner: labelSchema,
  expiresAtMs: naturalSchema,
  /** Amounts reserved for the attempt before it starts. */
  reservations: v.exactOptional(v.array(reservation)),
}

/** The states that a run can enter when an attempt ends. */
const statesAfterAttempt = ['completed', 'failed', 'retry_wait', 'suspended'] as const

const endEntries = {
  ...ofAttempt,
  outcome: outcomeSchema,
  /** Reservations replaced by what was spent of them, which may be zero. */
  settlements: v.exactOptional(v.array(settlementSchema)),
  /** What was spent without a reservation. */
  consumptions: v.exactOptional(v.array(consumptionSchema)),
  newState: v.picklist(statesAfterAttempt),
  /** When the retry is due, in epoch milliseconds; only with `newState: 'retry_wait'`. */
  retryAtMs: optionalTime,
  /** Why the run was suspended; only with `newState: 'suspended'`. */
  reason: v.exactOptional(v.string()),
  /** True: ready again at once; only with `newState: 'suspended'`. */
  resume: v.exactOptional(v.boolean()),
  /** The next runs of a repeating task, created because this one ended. */
  runs: v.exactOptional(v.array(runInstanceSchema)),
  /** Subscriptions triggered by the end. */
  triggers: v.exactOptional(v.array(idSchema<SubscriptionId>())),
}

/** An attempt has begun: amounts reserved, run leased and running. The sequence of this event is the fencing token. */
export const attemptBegun = defineEvent('attempt_begun', {
  fields: beginEntries,
  check: checkOwner,
  evolve: (draft, event, decided?: Run) => {
    const { runId, reservations = [], sequence, atMs } = event
    const run = replayedRun(draft, event)
    if (decided === undefined) checkReplayedState(run, event, event.previousState ?? 'ready')
    const next = decided ?? replayedMoves(run, event, beginMoves(event, sequence))
    for (const item of reservations) reserve(draft, { ...item, taskId: run.taskId, runId, atMs })
    putRun(draft, event, run, next)
  },
})

/** An attempt has ended, with everything that follows: outcome, lease, spending, next state, next runs, triggers. */
export const attemptEnded = defineEvent('attempt_ended', {
  fields: endEntries,
  check: ({ outcome }) => void checkParts(outcome),
  evolve: (draft, event, decided?: Run) => {
    const { settlements = [], consumptions = [], runs = [], triggers = [], sequence, atMs } = event
    const run = replayedRun(draft, event)
    const next = decided ?? replayedMoves(run, event, endMoves(run, event))
    for (const { reservationId, amount } of settlements) settle(draft, reservationId, amount)
    for (const { dimension, amount } of consumptions) consume(draft, run.taskId, dimension, amount)
    // Insert the new runs before this one ends, so that a repeating task has not ended in between.
    for (const runInstance of runs) insertRun(draft, runInstance, sequence)
    putRun(draft, event, run, next)
    for (const subscriptionId of triggers) triggerSubscription(draft, subscriptionId, atMs)
  },
})

/**
 * Claims a run and starts an attempt. Equivalent to `budget_reserve` for each reservation, `run_state_transition` to
 * `ready` if the run is still scheduled and `previousState` says so, `run_state_transition` to `leased`,
 * `lease_acquire`, `run_state_transition` to `running` and `attempt_start`, in this order.
 */
export const attemptBegin = defineCommand('attempt_begin', {
  fields: beginEntries,
  check: (command) => {
    for (const { dimension, amount } of command.reservations ?? []) checkAmount(dimension, amount)
    checkOwner(command)
  },
  decide: (view, { type: _, ...payload }, sequence) => {
    const { runId, attemptId, reservations = [] } = payload
    const run = inMotion(knownRun(view, runId))
    const { taskId } = run
    checkReserved(view, taskId, reservations)
    const check = (move: BeginMove): SelectedMove<MovingRun> => {
      switch (move.type) {
        case 'to_ready':
          return checkTransition(view, run, { previousState: 'scheduled', newState: 'ready' })
        case 'to_leased':
          return checkTransition(view, run, { previousState: 'ready', newState: 'leased' })
        case 'acquire_lease':
          return checkAcquire(view, run, move)
        case 'to_running':
          return checkTransition(view, run, { previousState: 'leased', newState: 'running', fencingToken: sequence })
        case 'start_attempt':
          return checkStart(view, run, { attemptId, fencingToken: sequence })
      }
    }
    for (const [move, facts] of beginMoves(payload, sequence)) advance(check(move), facts)
    return {
      ...attemptBegun.decided(sequence, payload, rowOf(run)),
      applied: { type: 'attempt_begin', runId, taskId, attemptId, fencingToken: sequence } as const,
    }
  },
})

/**
 * Ends the attempt of a run, with everything that follows. Equivalent to `attempt_finish`, `lease_release` if the run
 * is leased, `budget_settle` for each settlement, `budget_consume` for each consumption, `run_suspend` or
 * `run_state_transition`, `run_create` for each run, `run_resume` if requested, and `subscription_trigger` for each
 * trigger, in this order.
 */
export const attemptEnd = defineCommand('attempt_end', {
  fields: { ...endEntries, ...fenced },
  check: ({ outcome, consumptions = [], newState, retryAtMs, reason, resume, runs = [] }) => {
    checkParts(outcome)
    for (const { dimension, amount } of consumptions) checkAmount(dimension, amount)
    checkRetryAt(newState, retryAtMs)
    if (reason !== undefined) checkGoesWithSuspended('reason', newState)
    if (resume !== undefined) checkGoesWithSuspended('resume', newState)
    for (const { id, taskId } of runs) checkRunIds(id, taskId)
  },
  decide: (view, { type: _, fencingToken, ...payload }, sequence) => {
    const { runId, attemptId, newState, settlements = [], consumptions = [], runs = [], triggers = [] } = payload
    const run = inMotion(attemptRun(view, runId))
    const check = (move: RunMove): SelectedMove<MovingRun> => {
      switch (move.type) {
        case 'finish_attempt':
          return checkFinish(run, { attemptId, fencingToken })
        case 'close_lease':
          return checkHeld(run, 'release', move, fencingToken)
        case 'resume':
          return checkResume(view, run)
        default: {
          checkSpent(view, run.taskId, settlements, consumptions)
          const isSuspended = move.type === 'suspend'
          const leave = isSuspended
            ? checkSuspend(run, undefined)
            : checkTransition(view, run, { previousState: 'running', newState })
          checkCreateAll(view, runs)
          return leave
        }
      }
    }
    for (const [move, facts] of endMoves(run, payload)) advance(check(move), facts)
    checkTriggers(view, triggers)
    return {
      ...attemptEnded.decided(sequence, payload, rowOf(run)),
      applied: { type: 'attempt_end', runId, attemptId, newState: run.state } as const,
    }
  },
})

type Payload<Definition> = Definition extends { parse(input: unknown): infer Command } ? Omit<Command, 'type'> : never

/** The payload of {@link attemptBegin}. */
export type AttemptBegin = Payload<typeof attemptBegin>

/** The payload of {@link attemptEnd}. */
export type AttemptEnd = Payload<typeof attemptEnd>

/** A move with which an attempt begins. */
type BeginMove =
  | { readonly type: 'to_ready' | 'to_leased' | 'to_running' }
  | { readonly type: 'acquire_lease'; readonly lease: Lease }
  | { readonly type: 'start_attempt'; readonly attemptId: AttemptId }

/** The moves that begin an attempt, each with its facts from the log. */
function beginMoves(
  { previousState, owner, expiresAtMs, attemptId, atMs }: Omit<AttemptBegin, 'runId'>,
  sequence: number,
): readonly (readonly [BeginMove, MoveFacts])[] {
  const facts = { atMs }
  const moves: [BeginMove, MoveFacts][] = [
    [{ type: 'to_leased' }, facts],
    [{ type: 'acquire_lease', lease: { owner, expiresAtMs, fencingToken: sequence } }, facts],
    [{ type: 'to_running' }, facts],
    [{ type: 'start_attempt', attemptId }, facts],
  ]
  if (previousState !== undefined) moves.unshift([{ type: 'to_ready' }, facts])
  return moves
}

/** The moves that end an attempt, each with its facts from the log. */
function endMoves(
  { lease }: StandingRun,
  { attemptId, outcome, newState, retryAtMs, reason, resume, atMs }: Omit<AttemptEnd, 'fencingToken'>,
): readonly (readonly [RunMove, MoveFacts])[] {
  const moves: [RunMove, MoveFacts][] = [
    [
      { type: 'finish_attempt', attemptId },
      { atMs, outcome },
    ],
  ]
  if (lease !== undefined) {
    moves.push([{ type: 'close_lease', owner: lease.owner, expiresAtMs: lease.expiresAtMs }, { atMs }])
  }
  if (newState === 'suspended') {
    moves.push([{ type: 'suspend' }, { atMs, ...(reason !== undefined && { reason }) }])
    if (resume === true) moves.push([{ type: 'resume' }, { atMs }])
  } else {
    moves.push([{ type: `to_${newState}` }, { atMs, ...(retryAtMs !== undefined && { retryAtMs }) }])
  }
  return moves
}

function checkCreateAll(view: ReservationReads, runs: NonNullable<AttemptEnd['runs']>): void {
  if (runs.length === 0) return
  const created = new Set<RunId>()
  for (const runInstance of runs) {
    if (created.has(runInstance.id)) throw new TaskError('run_already_exists', { runId: runInstance.id })
    checkCreate(view, runInstance)
    created.add(runInstance.id)
  }
}

function checkGoesWithSuspended(field: string, newState: string): void {
  if (newState === 'suspended') return
  throw new InvalidInputError({ subject: 'command', field, reason: `does not go with ${newState}` })
}
