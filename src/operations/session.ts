import * as v from 'valibot'
import type { Clock } from '../base/clock.js'
import type { DeadlineQueue } from '../base/deadline-queue.js'
import { decode, readable } from '../base/decode.js'
import { StatewardError, toError } from '../base/errors.js'
import type { Feed } from '../base/feed.js'
import { parseUuid, type IdSource } from '../base/ids.js'
import { silentLogger, type Logger } from '../base/logger.js'
import { LoopShare } from '../base/loop-share.js'
import { createObserverGuard, type ObserverGuard } from '../base/observers.js'
import { checkFields, checkFunction, durationSchema, optionsSchema, textSchema } from '../base/options.js'
import { createDeferred, silence } from '../base/promises.js'
import { Execution, type Work } from './execution.js'
import type { Lane } from '../lane/lane.js'
import type { Inspect } from '../base/inspection.js'
import type { OperationsHistory } from './history.js'
import { IdleWake, type IdleWakeHost } from './idle-wake.js'
import { OperationRegistry } from './registry.js'
import { Turn } from './turn.js'
import type { CompletionEntry, EpochId, LostOperation, WaitAllResult } from './types.js'
import { SessionView } from './session-view.js'
import type { JobList } from '../work/job-list.js'
import type { Tracer } from '../work/job-span.js'
import { type EndReasons, operationEnded, type OperationFields, operationStarted } from './operation-lines.js'
import type { OperationMetrics } from './operation-metrics.js'
import { OperationSpan } from './operation-span.js'
import {
  expectsPeer,
  type OperationId,
  type OperationKind,
  type OperationOutcome,
  type OperationSource,
  type OperationSpec,
  type TurnId,
  type SessionId,
} from '../../machines/operation-vocabulary.js'

/** What is said of an operation when it is started. */
export interface RunRequest {
  readonly kind: OperationKind
  readonly displayName: string
  /** Minted when absent. */
  readonly id?: OperationId
  /** Free text such as `shell_job`; the kind when absent. */
  readonly sourceLabel?: string
  readonly operationSource?: OperationSource
}

const requestFields: ReadonlySet<string> = new Set<keyof RunRequest>([
  'kind',
  'displayName',
  'id',
  'sourceLabel',
  'operationSource',
])

/** How an operation is run. */
export interface RunOptions {
  /** Milliseconds after which the operation fails and its signal aborts: from 0 to 25 years. */
  readonly deadlineMs?: number
}

const runOptionsSchema = optionsSchema<RunOptions>({ deadlineMs: v.optional(durationSchema) })
const noOptions: RunOptions = {}

/** How a session is closed; {@link CloseOptions} with nothing left out. */
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

/** An operation that was started. */
export interface OperationHandle {
  readonly id: OperationId
  /**
   * How it ended, once that is durable. Rejects with the refusal when the registry did not accept the
   * operation or the options, and with `channel_closed` when the runtime closed first. Ignoring it is harmless.
   */
  readonly outcome: Promise<OperationOutcome>
  /** Ends the operation as cancelled and aborts its signal; refused with `invalid_transition` once it has ended. */
  cancel(reason?: string): Promise<void>
}

/** What a session is made of. */
export interface SessionOptions {
  readonly id: SessionId
  readonly history: OperationsHistory
  readonly lane: Lane
  readonly ids: IdSource
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  /** Where running jobs are listed. */
  readonly jobs: JobList
  readonly logger: Logger
  readonly inspect?: Inspect
  readonly tracer?: Tracer
  /** Absent where nobody measures. */
  readonly metrics?: OperationMetrics | undefined
}

/** The work of one owner: starts operations, waits for them, and shows what each is doing. */
export class Session {
  readonly id: SessionId
  /** The full registry, for hosts that drive life cycles themselves. */
  readonly operations: OperationRegistry
  /** The live read side. */
  readonly view: SessionView
  /** The durable side; of use to the runtime only. */
  readonly history: OperationsHistory
  readonly #options: SessionOptions
  readonly #executions = new Map<OperationId, Execution>()
  readonly #share: LoopShare
  readonly #idleWakes = new Set<IdleWake>()
  readonly #tracing: ObserverGuard
  /** Absent where nobody reads it. */
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
      logger: options.logger,
      observer: {
        onChange: (operationId) => this.view.changed(operationId),
        onProgress: (operationId, progress) => {
          this.#executions.get(operationId)?.reported(progress)
          this.view.reported(operationId, progress)
        },
        onRetireRequested: (operationId) => this.#executions.get(operationId)?.windDown(),
        onEnded: (operationId, outcome) => this.#ended(operationId, outcome),
      },
    })
    this.view = new SessionView(this.operations, options.logger)
  }

  /** Identity of the completion order; survives restarts. */
  get epochId(): EpochId {
    return this.operations.epochId
  }

  /** Completions in order, under cursors. */
  get feed(): Feed<CompletionEntry> {
    return this.operations.completionFeed()
  }

  /** Operations that were live when the previous process ended; they have no outcome. See {@link Session.forgetLost}. */
  get lost(): readonly LostOperation[] {
    return this.operations.lost
  }

  /** Stops reporting operations as lost, once they have been dealt with. */
  forgetLost(ids: readonly OperationId[] = this.lost.map(({ id }) => id)): void {
    this.operations.forgetLost(ids)
  }

  /**
   * Resolves once everything that has happened in this session so far is durable, starts and other facts included that
   * nobody awaits. Rejects with the lane's failure when it is not.
   */
  flush(): Promise<void> {
    // A decision without facts: it settles in its turn, with what is ahead of it.
    const nothing = (): void => {}
    return this.#options.lane.submit(this.history, () => ({ facts: [], commit: nothing, discard: nothing }))
  }

  /**
   * Starts an operation around an async function, which is called in a later microtask. Bad input rejects the outcome
   * with `invalid_input`; nothing has begun then.
   */
  run(request: RunRequest, work: Work, options: RunOptions = noOptions): OperationHandle {
    const { ids, lane, clock, deadlines, jobs, logger, tracer } = this.#options
    let id: OperationId
    let spec: OperationSpec
    let deadlineMs: number | undefined
    try {
      checkFields('run request', request, requestFields)
      ;({ id, spec } = readable('run request', () => this.#specOf(request)))
      checkFunction('work', work)
      if (options !== noOptions) ({ deadlineMs } = decode(runOptionsSchema, options, 'run options'))
    } catch (refusal) {
      return refusedHandle(ids.uuid() as OperationId, lane.refuse(toError(refusal)))
    }
    const execution = new Execution({
      spec,
      operations: this.operations,
      clock,
      deadlines,
      jobs,
      ...(deadlineMs !== undefined && { deadlineMs }),
      share: this.#share,
      logger,
      ...(tracer !== undefined && { span: new OperationSpan(tracer, spec, this.#tracing) }),
    })
    const { outcome } = execution
    try {
      this.operations.admit(spec)
    } catch (refusal) {
      lane.refuse(toError(refusal)).catch((reason: unknown) => execution.abandon(reason))
      // Not by id: that may be the id of somebody else's operation.
      return { id, outcome, cancel: async () => void (await outcome) }
    }
    this.#executions.set(id, execution)
    if (this.#log !== undefined) operationStarted(this.#log, fieldsOf(spec))
    execution.run(work)
    return { id, outcome, cancel: (reason) => this.operations.cancelOperation(id, reason ?? null) }
  }

  /**
   * Waits until all named operations have ended; the outcomes come in request order. Abort the signal to give up.
   * Rejects with `invalid_input`, `duplicate_wait_operation`, `wait_already_active`, `not_found`, or the signal's reason. The obligation counts
   * as acknowledged once this resolves; use `operations.waitAll` to acknowledge it yourself.
   */
  async waitAll(
    turnId: TurnId | string,
    operationIds: readonly OperationId[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<WaitAllResult> {
    const result = await this.operations.waitAll(parseUuid<TurnId>(turnId, 'turn id'), operationIds, options)
    this.operations.acknowledgeObligation(result.satisfied)
    return result
  }

  /** A turn of an agent whose tool calls start operations here. Raises `invalid_input` unless the turn id is a UUID. */
  turn(turnId: TurnId | string): Turn {
    const { inspect } = this.#options
    return new Turn({
      turnId: parseUuid<TurnId>(turnId, 'turn id'),
      operations: this.operations,
      logger: this.#options.logger,
      ...(inspect !== undefined && { inspect }),
    })
  }

  /** Starts a loop that wakes the host when background work has ended; dispose it to stop, closing the session does so too. */
  wakeWhenIdle(host: IdleWakeHost): IdleWake {
    const { clock, logger, inspect } = this.#options
    const { operations } = this
    const wake = new IdleWake({ operations, host, clock, logger, ...(inspect !== undefined && { inspect }) })
    this.#idleWakes.add(wake)
    void wake.stopped.then(() => this.#idleWakes.delete(wake))
    return wake
  }

  /** Refuses new operations and ends what runs: at once, or after asking it to wind down. */
  async close(options: SessionCloseOptions): Promise<void> {
    const { policy, graceMs, reason } = decode(closeOptionsSchema, options, 'close options')
    try {
      this.#stopWaking()
      this.operations.drain()
      if (policy === 'retire') await this.#windDown(graceMs)
      await this.operations.retireOwner(reason)
    } finally {
      // Whatever is under way is applied before the actors stop.
      await this.#options.lane.settled()
      this.dispose()
    }
  }

  /** Lets go of everything without a durable trace: watches and handles reject, actors stop. */
  dispose(): void {
    this.#stopWaking()
    this.view.dispose()
    this.operations.dispose()
    for (const execution of this.#executions.values()) {
      execution.abandon(new StatewardError('channel_closed', 'the session was closed before the operation ended', {}))
    }
    this.#executions.clear()
  }

  /** What the closing itself ends must wake nobody. */
  #stopWaking(): void {
    for (const wake of this.#idleWakes) wake[Symbol.dispose]()
  }

  async #windDown(graceMs: number): Promise<void> {
    // Without a lane that takes ends nobody could wind down in time.
    if (this.#options.lane.health.status !== 'open') return
    const live = this.operations.listOperations().filter(({ terminal }) => !terminal)
    if (live.length === 0) return
    const watches = live.map(({ id }) => this.operations.registerWatcher(id))
    for (const { id, status } of live) {
      // Refused when it is ending anyway.
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

  #specOf({ id: asked, kind, displayName, sourceLabel, operationSource }: RunRequest) {
    const id = asked === undefined ? (this.#options.ids.uuid() as OperationId) : asked
    const spec: OperationSpec = {
      id,
      kind,
      ownerSessionId: this.id,
      displayName,
      sourceLabel: sourceLabel === undefined ? kind : sourceLabel,
      ...(operationSource !== undefined && { operationSource }),
      childSessionId: null,
      expectPeerChannel: expectsPeer(kind),
    }
    return { id, spec }
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

/** Why it ended as it did, where somebody has said so. */
function reasonsIn(outcome: OperationOutcome): EndReasons {
  if (outcome.type === 'failed') {
    const { error, reason, cause } = outcome
    return { error, ...(reason !== undefined && { reason }), ...(cause !== undefined && { cause }) }
  }
  return 'reason' in outcome && outcome.reason !== null ? { reason: outcome.reason } : {}
}

/** The handle of an operation that never began; its id names nothing. */
function refusedHandle(id: OperationId, outcome: Promise<never>): OperationHandle {
  return { id, outcome, cancel: async () => void (await outcome) }
}
