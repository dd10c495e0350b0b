import * as v from 'valibot'
import type { Selection } from '../../machines/chart-table.js'
import { runChart, type RunMove, type RunPlace } from '../../machines/run.js'
import { runStates, type Lease, type RunState } from '../../machines/run-vocabulary.js'
import { decode } from '../base/decode.js'
import { deepFreeze } from '../base/freeze.js'
import { isNilUuid } from '../base/ids.js'
import { optionsSchema, strictSchema } from '../base/options.js'
import type { LeaseRow } from '../state/lease.js'
import { checkFencing } from '../state/lease.js'
import { checkParts, type AttemptOutcome, type AttemptRecord } from './attempt-outcome.js'
import { TaskError } from './errors.js'
import type { AttemptId, RunId, TaskId } from './ids.js'
import { countSchema, idSchema, labelSchema, naturalSchema, prioritySchema } from './scalars.js'

export {
  isTerminalRunState,
  runStates,
  terminalRunStates,
  type Lease,
  type RunState,
  type TerminalRunState,
} from '../../machines/run-vocabulary.js'

/** One run of a task (T-95). */
export interface RunInstance {
  /** Never nil. */
  readonly id: RunId
  readonly taskId: TaskId
  readonly state: RunState
  /** Present only while `running`. */
  readonly currentAttemptId?: AttemptId
  /** Attempts started, including suspended ones. */
  readonly attemptCount: number
  readonly createdAtMs: number
  readonly scheduledAtMs: number
  /** Higher is more urgent; the task's priority at creation. */
  readonly effectivePriority: number
  readonly lastStateChangeAtMs: number
}

/** A lease in the projection. */
export type RunLease = LeaseRow

/** One state change of a run; the first has no `from`. */
export interface RunHistoryEntry {
  readonly from?: RunState
  readonly to: RunState
  readonly atMs: number
  /** Why it was suspended, if a reason was given. */
  readonly reason?: string
}

/** A run in the projection. An immutable row: every change makes a new one. */
export interface Run extends RunInstance {
  /** When the retry is due, in epoch milliseconds; only in `retry_wait`, and only if the transition stated it. */
  readonly retryAtMs?: number
  readonly lease?: RunLease
  /** Present while its attempt does nothing but wait durably. */
  readonly isWaiting?: true
  readonly history: readonly RunHistoryEntry[]
  readonly attempts: readonly AttemptRecord[]
}

/** When a retry is due, in epoch milliseconds; at once if no time was stated. */
export function retryDueAt({ retryAtMs, lastStateChangeAtMs }: Pick<Run, 'retryAtMs' | 'lastStateChangeAtMs'>): number {
  return retryAtMs ?? lastStateChangeAtMs
}

/** The input of {@link createRun}. */
export interface RunInput {
  readonly id: RunId
  readonly taskId: TaskId
  readonly createdAtMs: number
  readonly scheduledAtMs: number
  /** Default 0; pass the task's `metadata.priority`. */
  readonly priority?: number
}

/** The shape of a {@link RunHistoryEntry}. */
export const historyEntrySchema: v.GenericSchema<unknown, RunHistoryEntry> = v.strictObject({
  from: v.exactOptional(v.picklist(runStates)),
  to: v.picklist(runStates),
  atMs: naturalSchema,
  reason: v.exactOptional(v.string()),
})

/** The shape of a {@link RunLease}. */
export const leaseSchema: v.GenericSchema<unknown, RunLease> = v.strictObject({
  owner: labelSchema,
  expiresAtMs: naturalSchema,
  fencingToken: naturalSchema,
  acquiredAtMs: naturalSchema,
  updatedAtMs: naturalSchema,
})

/** The fields of a {@link RunInstance}. */
export const runInstanceEntries = {
  id: idSchema<RunId>(),
  taskId: idSchema<TaskId>(),
  state: v.picklist(runStates),
  currentAttemptId: v.exactOptional(idSchema<AttemptId>()),
  attemptCount: countSchema,
  createdAtMs: naturalSchema,
  scheduledAtMs: naturalSchema,
  effectivePriority: prioritySchema,
  lastStateChangeAtMs: naturalSchema,
}

/** The shape of a {@link RunInstance}. */
export const runInstanceSchema: v.GenericSchema<unknown, RunInstance> = strictSchema(runInstanceEntries)

const inputSchema = optionsSchema<RunInput>({
  id: idSchema<RunId>(),
  taskId: idSchema<TaskId>(),
  createdAtMs: naturalSchema,
  scheduledAtMs: naturalSchema,
  priority: v.optional(prioritySchema),
})

/** Creates a run in `scheduled`. Raises `invalid_input`, then `invalid_run_id` or `invalid_task_id` for a nil id. */
export function createRun(input: RunInput): RunInstance {
  return freshRun(decode(inputSchema, input, 'run'))
}

/** Like {@link createRun}, for input whose shape has been checked. */
export function freshRun({ id, taskId, createdAtMs, scheduledAtMs, priority = 0 }: RunInput): RunInstance {
  checkRunIds(id, taskId)
  return {
    id,
    taskId,
    state: 'scheduled',
    attemptCount: 0,
    createdAtMs,
    scheduledAtMs,
    effectivePriority: priority,
    lastStateChangeAtMs: createdAtMs,
  }
}

/** Raises `invalid_run_id` or `invalid_task_id` for a nil id. */
export function checkRunIds(runId: RunId, taskId: TaskId): void {
  if (isNilUuid(runId)) throw new TaskError('invalid_run_id', { runId })
  if (isNilUuid(taskId)) throw new TaskError('invalid_task_id', { taskId })
}

/** Raises `empty_lease_owner`. */
export function checkOwner({ owner }: Pick<Lease, 'owner'>): void {
  if (owner === '') throw new TaskError('empty_lease_owner', {})
}

/**
 * Checks that a command comes from the current worker (T-146). Raises `fencing_token_required` for a leased run without
 * a token, and `fencing_token_superseded` for a token that does not hold the run.
 */
export function checkToken(
  { id: runId, lease }: StandingRun,
  provided: number | undefined,
  options: { readonly isRequired: boolean },
): void {
  switch (checkFencing(lease, provided, options)) {
    case 'permitted':
      return
    case 'token_required':
      throw new TaskError('fencing_token_required', { runId })
    case 'token_superseded':
      throw new TaskError('fencing_token_superseded', {
        runId,
        provided: provided as number,
        current: lease?.fencingToken,
      })
  }
}

/** What the log records about a move, besides the move itself. */
export interface MoveFacts {
  readonly atMs: number
  /** Only with `finish_attempt`. */
  readonly outcome?: AttemptOutcome
  /** Only with `suspend`. */
  readonly reason?: string
  /** Only with `to_retry_wait`. */
  readonly retryAtMs?: number
}

/** What the rules of commands read of a run, be it a row or a {@link MovingRun}. */
export interface StandingRun extends Pick<Run, 'id' | 'taskId' | 'state' | 'attemptCount' | 'attempts'> {
  readonly currentAttemptId?: AttemptId | undefined
  readonly isWaiting?: true | undefined
  readonly lease?: RunLease | undefined
  /** Where it stands in the chart, if that is known already. */
  readonly place?: RunPlace
}

/** A run that the moves of one command change in turn, before it becomes a row. */
export interface MovingRun extends StandingRun {
  readonly createdAtMs: number
  readonly scheduledAtMs: number
  readonly effectivePriority: number
  place: RunPlace
  state: RunState
  attemptCount: number
  currentAttemptId: AttemptId | undefined
  isWaiting: true | undefined
  lease: RunLease | undefined
  retryAtMs: number | undefined
  lastStateChangeAtMs: number
  history: readonly RunHistoryEntry[]
  attempts: readonly AttemptRecord[]
}

/** The fields that determine a run's states in the chart. */
type Standing = Pick<StandingRun, 'state' | 'currentAttemptId' | 'isWaiting' | 'lease'>

/** The states of a run in the chart; the same combination is always the same object. */
export function statesOf({ state, currentAttemptId, isWaiting, lease }: Standing): States {
  const attempt = isWaiting === true ? 'waiting' : currentAttemptId === undefined ? 'idle' : 'active'
  return statesIn[state][attempt][lease === undefined ? 'free' : 'held']
}

type States = RunPlace['value']

function combinationsOf(lifecycle: RunState): Record<States['attempt'], Record<States['lease'], States>> {
  const withAttempt = (attempt: States['attempt']): Record<States['lease'], States> => ({
    free: { lifecycle, attempt, lease: 'free' },
    held: { lifecycle, attempt, lease: 'held' },
  })
  return { idle: withAttempt('idle'), active: withAttempt('active'), waiting: withAttempt('waiting') }
}

/** Every combination, created once: the chart recognises configurations by identity. */
const statesIn = deepFreeze(
  Object.fromEntries(runStates.map((state) => [state, combinationsOf(state)])) as Record<
    RunState,
    ReturnType<typeof combinationsOf>
  >,
)

/** The move that leads to a state; `undefined` for `scheduled`, which no move leads to. */
export function moveTo(state: RunState): RunMove | undefined {
  return moves[state]
}

const moves: Readonly<Partial<Record<RunState, RunMove>>> = Object.fromEntries(
  runStates.filter((state) => state !== 'scheduled').map((state) => [state, { type: `to_${state}` }]),
)

/** The chart's decision on a move of a run. */
export function selectMove<Of extends StandingRun>(run: Of, move: RunMove): SelectedMove<Of> {
  const place = run.place ?? placeOf(run)
  return { run, move, place, selection: runChart.select(place, move) }
}

/** The run after a legal move; `undefined` for an illegal one. */
export function step(run: Run, move: RunMove, facts: MoveFacts): Run | undefined {
  const selected = selectMove(run, move)
  return selected.selection.isTaken ? after(selected, facts) : undefined
}

/** A move of a run, its states, and the chart's decision, so that the chart is asked only once. */
export interface SelectedMove<Of extends StandingRun = Run> {
  readonly run: Of
  readonly move: RunMove
  readonly place: RunPlace
  readonly selection: Selection
}

/** The run after a legal move. */
export function after({ run, move, place, selection }: SelectedMove, facts: MoveFacts): Run {
  const moving = inMotion(run, place)
  advance({ run: moving, move, place, selection }, facts)
  return rowOf(moving)
}

/** A copy of a run, for several moves; {@link rowOf} makes it a row. */
export function inMotion(run: Run, place = placeOf(run)): MovingRun {
  const { id, taskId, state, attemptCount, createdAtMs, scheduledAtMs, effectivePriority, lastStateChangeAtMs } = run
  const { currentAttemptId, isWaiting, lease, retryAtMs, history, attempts } = run
  return {
    id,
    taskId,
    place,
    state,
    currentAttemptId,
    attemptCount,
    createdAtMs,
    scheduledAtMs,
    effectivePriority,
    lastStateChangeAtMs,
    retryAtMs,
    lease,
    isWaiting,
    history,
    attempts,
  }
}

/** Makes a legal move. */
export function advance({ run, move, place: before, selection }: SelectedMove<MovingRun>, facts: MoveFacts): void {
  const place = runChart.follow(before, move, selection)
  const { value, context } = place
  const { atMs, reason } = facts
  run.place = place
  if (value.lifecycle !== run.state) {
    const entry: RunHistoryEntry = {
      from: run.state,
      to: value.lifecycle,
      atMs,
      ...(reason !== undefined && { reason }),
    }
    run.history = [...run.history, entry]
    run.state = value.lifecycle
    run.lastStateChangeAtMs = atMs
    run.retryAtMs = facts.retryAtMs
  }
  run.attempts = attemptsAfter(run, move, facts)
  run.attemptCount = context.attemptCount
  run.currentAttemptId = context.activeAttemptId
  run.isWaiting = value.attempt === 'waiting' ? true : undefined
  if (context.lease !== before.context.lease) run.lease = leaseAfter(run.lease, context.lease, atMs)
}

/** The row of a run that has been moved. Built in one piece: a copy per optional part would be expensive. */
export function rowOf(run: MovingRun): Run {
  const { id, taskId, state, attemptCount, createdAtMs, scheduledAtMs, effectivePriority, lastStateChangeAtMs } = run
  const { currentAttemptId, isWaiting, lease, retryAtMs, history, attempts } = run
  const row: { -readonly [Field in keyof Run]: Run[Field] } = {
    id,
    taskId,
    state,
    attemptCount,
    createdAtMs,
    scheduledAtMs,
    effectivePriority,
    lastStateChangeAtMs,
    history,
    attempts,
  }
  if (currentAttemptId !== undefined) row.currentAttemptId = currentAttemptId
  if (lease !== undefined) row.lease = lease
  if (isWaiting !== undefined) row.isWaiting = isWaiting
  if (retryAtMs !== undefined) row.retryAtMs = retryAtMs
  return row
}

const noAttempts: readonly AttemptId[] = []

function placeOf(run: StandingRun): RunPlace {
  const { currentAttemptId: activeAttemptId, attemptCount, attempts, lease } = run
  const attemptIds = attempts.length === 0 ? noAttempts : attempts.map(({ attemptId }) => attemptId)
  return { value: statesOf(run), context: { activeAttemptId, attemptCount, attemptIds, lease } }
}

/** An attempt that is dropped by a cancellation stays unfinished. */
function attemptsAfter({ attempts }: MovingRun, move: RunMove, { atMs, outcome }: MoveFacts): readonly AttemptRecord[] {
  if (move.type === 'start_attempt') return [...attempts, { attemptId: move.attemptId, startedAtMs: atMs }]
  if (move.type !== 'finish_attempt') return attempts
  const open = attempts.at(-1) as AttemptRecord
  return attempts.with(-1, { ...open, finishedAtMs: atMs, ...(outcome !== undefined && { outcome }) })
}

function leaseAfter(
  before: RunLease | undefined,
  held: RunPlace['context']['lease'],
  atMs: number,
): RunLease | undefined {
  if (held === undefined) return undefined
  const { owner, fencingToken, expiresAtMs } = held
  return { owner, fencingToken, expiresAtMs, acquiredAtMs: before?.acquiredAtMs ?? atMs, updatedAtMs: atMs }
}

/**
 * Checks a stored run (T-69); raises the `snapshot_*` code of the first rule that it breaks. The chart decides which
 * states go together and which follow which.
 */
export function checkRun(run: Run): void {
  const { id: runId, taskId } = run
  for (const id of [runId, taskId]) if (isNilUuid(id)) throw new TaskError('snapshot_nil_id', { id })
  checkAttempts(run)
  checkHistory(run)
  if (!runChart.isReachable(statesOf(run))) throw new TaskError('snapshot_lease_state', { runId })
}

function checkAttempts(run: Run): void {
  const { id: runId, currentAttemptId, attemptCount, attempts } = run
  const { state, isWaiting } = run
  if (!runChart.isReachable(statesOf({ state, currentAttemptId, isWaiting }))) {
    throw new TaskError('snapshot_attempt_outside_running', { runId })
  }
  if (currentAttemptId !== undefined && attemptCount === 0) {
    throw new TaskError('snapshot_attempt_without_count', { runId })
  }
  if (attempts.length !== attemptCount) {
    throw new TaskError('snapshot_attempt_count', { runId, expected: attemptCount, found: attempts.length })
  }
  for (const { outcome } of attempts) if (outcome !== undefined) checkParts(outcome)
  const isOpen = currentAttemptId === undefined ? run.isWaiting === undefined : isOpenAttempt(run, currentAttemptId)
  if (!isOpen) throw new TaskError('snapshot_active_attempt', { runId })
}

/** True if the last attempt is this one, unfinished, and the chart allows it to start after the earlier ones. */
function isOpenAttempt({ currentAttemptId: _, isWaiting: __, ...run }: Run, attemptId: AttemptId): boolean {
  const open = run.attempts.at(-1)
  if (open?.attemptId !== attemptId || open.finishedAtMs !== undefined) return false
  const before = { ...run, attemptCount: run.attemptCount - 1, attempts: run.attempts.slice(0, -1) }
  return selectMove(before, { type: 'start_attempt', attemptId }).selection.isTaken
}

function checkHistory({ id: runId, state, createdAtMs, history }: Run): void {
  const [first] = history
  if (first?.from !== undefined || first?.to !== 'scheduled' || first.atMs !== createdAtMs) {
    throw new TaskError('snapshot_history_start', { runId })
  }
  const index = history.findIndex((entry, place) => place > 0 && !follows(history[place - 1], entry))
  if (index !== -1) throw new TaskError('snapshot_history_chain', { runId, index })
  if (history.at(-1)?.to !== state) throw new TaskError('snapshot_history_end', { runId })
}

function follows(before: RunHistoryEntry | undefined, { from, to }: RunHistoryEntry): boolean {
  const move = moveTo(to)
  if (from === undefined || from !== before?.to || move === undefined) return false
  return runChart.isPossible(statesOf({ state: from }), move.type)
}
