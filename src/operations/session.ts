import * as v from 'valibot'
import { onAbort } from '../base/abort.js'
import type { Clock } from '../base/clock.js'
import type { DeadlineQueue } from '../base/deadline-queue.js'
import { decode } from '../base/decode.js'
import { isList, StatewardError, toError } from '../base/errors.js'
import type { Feed } from '../base/feed.js'
import { parseUuid, type IdSource } from '../base/ids.js'
import { silentLogger, type Logger } from '../base/logger.js'
import { LoopShare } from '../base/loop-share.js'
import { createObserverGuard, type ObserverGuard } from '../base/observers.js'
import {
  abortableSchema,
  checkFunction,
  durationSchema,
  optionsSchema,
  signalSchema,
  textOf,
  textSchema,
} from '../base/options.js'
import { abortable, createDeferred, silence } from '../base/promises.js'
import type { WaitOptions } from './awaiting.js'
import { OperationError } from './errors.js'
import { Execution, type Work, type WorkContext } from './execution.js'
import type { Lane } from '../lane/lane.js'
import type { Inspect } from '../base/inspection.js'
import type { OperationsHistory } from './history.js'
import { IdleWake, type IdleWakeHost } from './idle-wake.js'
import type { SessionLimits } from './limits.js'
import { OperationLine } from './line.js'
import { OperationHandle, refusedHandle } from './operation-handle.js'
import { OperationRegistry } from './registry.js'
import { decodeRun, noOptions, type DecodedRun, type RunOptions, type RunRequest } from './run-request.js'
import type { OperationsWait } from './system.js'
import { Turn } from './turn.js'
import type { CompletionEntry, EpochId, LostOperation, WaitAllResult } from './types.js'
import { SessionView } from './session-view.js'
import { WaitAll } from './wait-all.js'
import type { JobList } from '../work/job-list.js'
import type { Tracer } from '../work/job-span.js'
import { type EndReasons, operationEnded, type OperationFields, operationStarted } from './operation-lines.js'
import type { OperationMetrics } from './operation-metrics.js'
import { OperationSpan } from './operation-span.js'
import type {
  OperationId,
  OperationOutcome,
  OperationSpec,
  TurnId,
  SessionId,
  WaitRequestId,
} from '../../machines/operation-vocabulary.js'

/** How a session is closed: {@link CloseOptions} with nothing left out. */
export interface SessionCloseOptions {
  readonly policy: 'retire' | 'terminate'
  readonly graceMs: number
  readonly reason: string
}

const closeOptionsSchema = optionsSchema<SessionCloseOptions>({
  policy: v.picklist(['retire', 'terminate']),
  graceMs: durationSchema,
  reason: textSchema(),
})

/** Options of {@link Session}. */
export interface SessionOptions {
  readonly id: SessionId
  readonly history: OperationsHistory
  readonly lane: Lane
  readonly ids: IdSource
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  /** The list of running jobs. */
  readonly jobs: JobList
  readonly logger: Logger
  readonly inspect?: Inspect
  readonly tracer?: Tracer
  /** Absent if there is no meter. */
  readonly metrics?: OperationMetrics | undefined
  /** Whether new operations are accepted. Default: they are. */
  readonly intake?: { readonly isOpen: boolean }
}

/** The work of one owner: starts operations, waits for them, and shows what each is doing. */
export class Session {
  readonly id: SessionId
  /** The registry, for hosts that drive life cycles themselves. */
  readonly operations: OperationRegistry
  /** The live view. */
  readonly view: SessionView
  /** The durable side; used by the runtime only. */
  readonly history: OperationsHistory
  readonly #options: SessionOptions
  readonly #line: OperationLine
  readonly #executions = new Map<OperationId, Execution>()
  readonly #share: LoopShare
  readonly #idleWakes = new Set<IdleWake>()
  readonly #tracing: ObserverGuard
  /** Absent if there is no logger. */
  readonly #log: Logger | undefined

  constructor(options: SessionOptions) {
    const { id, history, lane, ids } = options
    this.id = id
    this.history = history
    this.#options = options
    this.#share = new LoopShare(options.clock)
    this.#tracing = createObserverGuard(options.logger, 'the tracer threw')
    this.#log = options.logger === silentLogger ? undefined : options.logger
    this.operations = new OperationRegistry({
      lane,
      history,
      ids,
      deadlines: options.deadlines,
      logger: options.logger,
      isReserved: (operationId) => this.#line.get(operationId) !== undefined,
      observer: {
        onChange: (operationId) => {
          this.view.changed(operationId)
          this.#line.update()
        },
        onLimited: () => this.#line.update(),
        onProgress: (operationId, progress) => {
          this.#executions.get(operationId)?.reported(progress)
          this.view.reported(operationId, progress)
        },
        onRetireRequested: (operationId) => this.#executions.get(operationId)?.windDown(),
        onEnded: (operationId, outcome) => this.#ended(operationId, outcome),
      },
    })
    this.#line = new OperationLine({
      operations: this.operations,
      clock: options.clock,
      deadlines: options.deadlines,
      onChange: (operationId) => this.view.changed(operationId),
    })
    this.view = new SessionView(this.operations, this.#line, options.logger)
  }

  /** Sets the limits that the registry does not enforce; called by the session directory. */
  configure(limits: SessionLimits): void {
    this.#line.configure(limits)
  }

  /** Identity of the completion order; survives restarts. */
  get epochId(): EpochId {
    return this.operations.epochId
  }

  /** The completion feed, read with cursors. */
  get feed(): Feed<CompletionEntry> {
    return this.operations.completionFeed()
  }

  /**
   * Operations that were running when the previous process died; they have no outcome. See {@link Session.forgetLost}.
   */
  get lost(): readonly LostOperation[] {
    return this.operations.lost
  }

  /** Stops reporting operations as lost, once you have dealt with them. */
  forgetLost(ids: readonly OperationId[] = this.lost.map(({ id }) => id)): void {
    this.operations.forgetLost(ids)
  }

  /**
   * Resolves once everything that has happened in this session so far is durable, including starts and other changes
   * that return no promise. Rejects with a `LaneError` if it could not be made durable.
   */
  flush(): Promise<void> {
    // An empty change: it settles in order, after everything ahead of it.
    const nothing = (): void => {}
    return this.#options.lane.submit(this.history, () => ({ facts: [], commit: nothing, discard: nothing }))
  }

  /**
   * Runs an async function as an operation. The function is called in a later microtask. A string as `request` is the
   * display name. If the session is full, the operation is refused or queued (`whenFull`). For invalid input the
   * outcome rejects with `invalid_input`, and for a signal that has already aborted with the signal's reason; the
   * function is then not called.
   *
   *     const docs = session.run('fetch docs', ({ signal }) => fetchDocs(signal), { deadlineMs: 30_000, parent })
   *     const pages = await docs.result()
   */
  run<Result, Input = undefined>(
    request: RunRequest | string,
    work: (context: WorkContext<Input>) => Result | PromiseLike<Result>,
    options: RunOptions<Input> = noOptions,
  ): OperationHandle<Result> {
    const { ids, lane } = this.#options
    let decoded: DecodedRun
    try {
      checkFunction('work', work)
      decoded = decodeRun(this.id, ids, request, options)
    } catch (refusal) {
      return refusedHandle(ids.uuid() as OperationId, lane.refuse(toError(refusal)))
    }
    const { spec, signal } = decoded
    if (this.#options.intake?.isOpen === false && spec.parentId === undefined) {
      return refusedHandle(spec.id, lane.refuse(new OperationError('node_draining', {})))
    }
    if (signal?.aborted === true) return refusedHandle(spec.id, silence(Promise.reject(signal.reason)))
    return this.#run(decoded, work as Work)
  }

  /**
   * Runs lost operations again, each under its own id and with its own input. `choose` returns the work for an
   * operation, or `undefined` to leave it lost. Returns the handles of the operations that run. An operation whose
   * parent does not run again is refused with `parent_not_found` and stays lost. Throws the signal's reason if the
   * signal has aborted.
   */
  rerunLost(
    choose: (id: OperationId, lost: LostOperation) => Work | undefined,
    options: RerunOptions = {},
  ): OperationHandle[] {
    checkFunction('choice of work', choose)
    const { deadlineMs, signal } = decode(rerunSchema, options, 'rerun options')
    signal?.throwIfAborted()
    return this.lost.flatMap((lost) => {
      const work = choose(lost.id, lost)
      const spec = this.history.lostSpec(lost.id)
      if (work === undefined || spec === undefined) return []
      checkFunction('work', work)
      return [this.#run({ spec, deadlineMs, signal, key: undefined }, work)]
    })
  }

  /**
   * Waits until all of these operations have ended and resolves with their results, in the order of the handles. If
   * some have no result, rejects after all have ended, with the {@link OperationFailed} of the first, or with the
   * refusal of one that never started. Rejects with the signal's reason when it aborts. Each call is a turn of its own,
   * so several callers can wait at the same time.
   */
  async all<const Handles extends readonly OperationHandle[]>(
    handles: Handles,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<ResultsOf<Handles>> {
    const listed = decode(handlesSchema, handles, 'operation handles')
    const isUnderWay = ({ isSettled, status }: OperationHandle): boolean => !isSettled && status !== undefined
    const running = listed.filter(isUnderWay).map(({ id }) => id)
    const turnId = this.#options.ids.uuid() as TurnId
    await this.waitAll(turnId, [...new Set(running)], options)
    const results: unknown[] = []
    for (const handle of listed) results.push(await handle.result())
    return results as ResultsOf<Handles>
  }

  /**
   * Waits until all of these operations have ended, and resolves with their outcomes in the order of the ids. Abort the
   * signal to give up. Rejects with `invalid_input`, `duplicate_wait_operation`, `wait_already_active`, `not_found`,
   * `no_longer_retained`, or the signal's reason. A wait for a queued operation starts once the operation is
   * registered, and rejects if it is refused. The obligation counts as acknowledged once this resolves; to acknowledge
   * it yourself, use `operations.waitAll`.
   */
  async waitAll(
    turnId: TurnId | string,
    operationIds: readonly OperationId[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<WaitAllResult> {
    const result = await this.#waitAll(parseUuid<TurnId>(turnId, 'turn id'), operationIds, options)
    this.operations.acknowledgeObligation(result.satisfied)
    return result
  }

  /**
   * Creates a turn of an agent whose tool calls start operations in this session. Raises `invalid_input` unless the
   * turn id is a UUID.
   */
  turn(turnId: TurnId | string): Turn {
    const { inspect } = this.#options
    const { operations } = this
    return new Turn({
      turnId: parseUuid<TurnId>(turnId, 'turn id'),
      operations: {
        waitAll: (...given) => this.#waitAll(...given),
        acknowledgeObligation: (obligation) => operations.acknowledgeObligation(obligation),
      },
      logger: this.#options.logger,
      ...(inspect !== undefined && { inspect }),
    })
  }

  /**
   * Starts a loop that wakes the host when background work has ended. It stops when it is disposed or the session
   * closes.
   */
  wakeWhenIdle(host: IdleWakeHost): IdleWake {
    const { clock, logger, inspect } = this.#options
    const { operations } = this
    const wake = new IdleWake({ operations, host, clock, logger, ...(inspect !== undefined && { inspect }) })
    this.#idleWakes.add(wake)
    void wake.stopped.then(() => this.#idleWakes.delete(wake))
    return wake
  }

  /** Refuses new operations and ends running ones: at once, or after asking them to wind down. */
  async close(options: SessionCloseOptions): Promise<void> {
    const { policy, graceMs, reason } = decode(closeOptionsSchema, options, 'close options')
    try {
      this.#stopWaking()
      this.#line.close(closedBefore())
      this.operations.drain()
      if (policy === 'retire') await this.#windDown(graceMs)
      await this.operations.retireOwner(reason)
    } finally {
      // Changes in progress are applied before the actors stop.
      await this.#options.lane.settled()
      this.dispose()
    }
  }

  /** Releases everything without journalling anything: watches and handles reject, and actors stop. */
  dispose(): void {
    this.#stopWaking()
    this.#line.close(closedBefore())
    this.view.dispose()
    this.operations.dispose()
    for (const execution of this.#executions.values()) execution.abandon(closedBefore())
    this.#executions.clear()
  }

  /** Stops idle-wake loops first, so that operations that end because of closing wake nothing. */
  #stopWaking(): void {
    for (const wake of this.#idleWakes) wake[Symbol.dispose]()
  }

  async #windDown(graceMs: number): Promise<void> {
    // If the lane accepts no ends, no operation could end in time.
    if (this.#options.lane.health.status !== 'open') return
    const live = this.operations.listOperations().filter(({ terminal }) => !terminal)
    if (live.length === 0) return
    const watches = live.map(({ id }) => this.operations.registerWatcher(id))
    for (const { id, status } of live) {
      // Refused if the operation is already ending, which can be ignored.
      if (status === 'running') silence(this.operations.requestRetire(id))
    }
    const grace = createDeferred<void>()
    const deadline = this.#options.deadlines.after(graceMs, () => grace.resolve())
    await Promise.race([Promise.allSettled(watches), grace.promise])
    deadline[Symbol.dispose]()
  }

  #ended(id: OperationId, outcome: OperationOutcome): void {
    if (this.#log !== undefined || this.#options.metrics !== undefined) this.#tellEnd(id, outcome)
    this.view.ended(id)
    this.#executions.get(id)?.end(outcome)
    this.#executions.delete(id)
    this.#line.ended(id)
  }

  #tellEnd(id: OperationId, outcome: OperationOutcome): void {
    const snapshot = this.operations.snapshot(id)
    if (snapshot === undefined) return
    const { kind, elapsedMs: durationMs = 0 } = snapshot
    this.#options.metrics?.ended(kind, outcome, durationMs)
    if (this.#log === undefined) return
    operationEnded(this.#log, {
      ...fieldsOf(snapshot),
      outcome: outcome.type,
      durationMs,
      ...reasonsIn(outcome),
    })
  }

  #run<Result>({ spec, deadlineMs, signal, key }: DecodedRun, work: Work): OperationHandle<Result> {
    const { lane, clock, deadlines, jobs, logger, tracer } = this.#options
    const execution = new Execution({
      spec,
      operations: this.operations,
      lane,
      clock,
      deadlines,
      jobs,
      deadlineMs,
      share: this.#share,
      logger,
      span: tracer && new OperationSpan(tracer, spec, this.#tracing),
      signal,
      key,
      work,
      line: this.#line,
      onBegun: this.#onBegun,
    })
    this.#line.take(execution)
    return new OperationHandle(execution)
  }

  readonly #onBegun = (execution: Execution): void => {
    this.#executions.set(execution.id, execution)
    if (this.#log !== undefined) operationStarted(this.#log, fieldsOf(execution.spec))
  }

  /** A wait for queued operations begins once they are registered. */
  #waitAll(turnId: TurnId, operationIds: readonly OperationId[], options: WaitOptions = {}): OperationsWait {
    const isListed = isList(operationIds)
    const begun = isListed ? operationIds.flatMap((id) => this.#line.begun(id) ?? []) : []
    if (begun.length === 0) return this.operations.waitAll(turnId, operationIds, options)
    const members = [...operationIds]
    const givenUp = new AbortController()
    const { signal } = decode(abortableSchema, options, 'wait options')
    const forget = onAbort(signal, () => givenUp.abort(signal?.reason))
    const wait = async (): Promise<WaitAllResult> => {
      try {
        signal?.throwIfAborted()
        await abortable(Promise.all(begun), givenUp.signal)
        return await this.operations.waitAll(turnId, members, { signal: givenUp.signal })
      } finally {
        forget()
      }
    }
    const requestId = this.#options.ids.uuid() as WaitRequestId
    return new WaitAll(requestId, silence(wait()), undefined, (reason) => givenUp.abort(reason))
  }
}

function fieldsOf({
  id: operationId,
  ownerSessionId: sessionId,
  kind,
  displayName,
}: Pick<OperationSpec, 'id' | 'ownerSessionId' | 'kind' | 'displayName'>): OperationFields {
  return { sessionId, operationId, kind, displayName }
}

/** The reasons of an outcome, if it has any. */
function reasonsIn(outcome: OperationOutcome): EndReasons {
  if (outcome.type === 'failed') {
    const { error, reason, cause } = outcome
    return { error, ...(reason !== undefined && { reason }), ...(cause !== undefined && { cause }) }
  }
  return 'reason' in outcome && outcome.reason !== null ? { reason: outcome.reason } : {}
}

function closedBefore(): StatewardError {
  return new StatewardError('channel_closed', 'the session was closed before the operation ended', {})
}

type RerunOptions = Pick<RunOptions, 'deadlineMs' | 'signal'>

const rerunSchema = optionsSchema<RerunOptions>({
  deadlineMs: v.optional(durationSchema),
  signal: v.optional(signalSchema),
})

/** The result types of these handles, in order. */
type ResultsOf<Handles extends readonly OperationHandle[]> = {
  -readonly [Index in keyof Handles]: Handles[Index] extends OperationHandle<infer Result> ? Result : never
}

const handlesSchema = v.array(
  v.custom<OperationHandle>(
    (handle) => handle instanceof OperationHandle,
    ({ input }) => `not the handle of an operation: ${textOf(input)}`,
  ),
  'not a list',
)
