import * as v from 'valibot'
import type { Clock } from '../base/clock.js'
import type { Deadline, DeadlineQueue } from '../base/deadline-queue.js'
import { decode } from '../base/decode.js'
import { InvalidInputError, StatewardError } from '../base/errors.js'
import type { IdSource } from '../base/ids.js'
import type { Inspect } from '../base/inspection.js'
import type { JsonValue } from '../base/json.js'
import type { Logger } from '../base/logger.js'
import { LoopShare } from '../base/loop-share.js'
import type { Instruments } from '../base/meter.js'
import { functionSchema, textOf } from '../base/options.js'
import { guardedObserver } from '../base/observers.js'
import { abortable, createDeferred, silence } from '../base/promises.js'
import type { JobList } from '../work/job-list.js'
import type { Tracer } from '../work/job-span.js'
import { checkValue, encodeValue } from '../work/values.js'
import { Awaiter } from './awaiter.js'
import { defineProcess, isProcessDefinition, type ProcessDefinition, type SchemaMap } from './definition.js'
import { DefinitionRunner } from './definition-runner.js'
import { Definitions } from './definitions.js'
import { checkDurability } from './durability.js'
import type { ProcessHub } from './hub.js'
import type { ProcessListFilter } from './list-filter.js'
import { ProcessHandle, type ProcessHandlePort } from './process-handle.js'
import { ProcessMetrics } from './process-metrics.js'
import { ProcessSpans, startWithin } from './process-spans.js'
import type { ProcessRecord } from './record.js'
import type { ProcessRegistration } from './registration.js'
import type { RuntimeProcessesOptions } from './runtime-processes-options.js'
import { combineRunners } from './runners.js'
import { idSchema, takeId, type ProcessId } from './scalars.js'
import { registrationOf, startSchema, type StartProcessOptions } from './start-request.js'
import type { ProcessStore } from './store.js'
import { localLiveness } from './system/host.js'
import type { SystemResult } from './system/outcome.js'
import { systemKind, systemProcess, type SystemProcessOptions } from './system/system-process.js'
import { SystemRunner } from './system/system-runner.js'
import { Wakes, type WakeHandler } from './wakes.js'
import { watchStore } from './watched-store.js'
import { WorkDriver } from './work-driver.js'
import { Worker } from './worker.js'
import type { DriveReport } from './drive-report.js'

/** Options of {@link Processes}. */
export interface ProcessesOptions extends Omit<RuntimeProcessesOptions, 'store'> {
  readonly store: ProcessStore
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  readonly ids: IdSource
  readonly logger: Logger
  readonly jobs: JobList
  readonly tracer?: Tracer
  readonly instruments?: Instruments
  readonly inspect?: Inspect
}

/** A program to start as a process. */
export interface StartCommandOptions extends Omit<SystemProcessOptions, 'id'> {
  /** Makes the start idempotent. Default: a new id. */
  readonly id?: ProcessId
}

/** How to close the processes of a runtime. */
export interface CloseProcessesOptions {
  /** Milliseconds that runs have to finish after they are told to stop. */
  readonly graceMs: number
  /** If true, started processes bound to this host are abandoned, because the host will not come back. */
  readonly drain: boolean
}

/** Takes either the arguments of {@link defineProcess} or a finished definition. */
type DefineProcess = typeof defineProcess &
  (<Definition extends ProcessDefinition>(definition: Definition) => Definition)

const handlerSchema = functionSchema<WakeHandler>()
const listenerSchema = functionSchema<(processId: ProcessId) => void>()

/** Only copies the options. The fields are checked by `systemProcess`. */
const startCommandSchema = v.pipe(
  v.custom<StartCommandOptions>((input) => typeof input === 'object' && input !== null, 'not an object'),
  v.transform((options) => ({ ...options })),
)

/** Milliseconds between two scans for work left by lost hosts, if several hosts share a store. */
const defaultSweepIntervalMs = 5000

/**
 * Durable processes, across restarts and hosts: starts them, runs those whose definition is on this host, and lets
 * callers wait for them.
 *
 *     const handle = await runtime.processes.start(publish, article, { id: 'article-7' })
 *     await handle.signal('approval', { approved: true })
 *     const address = await handle.result()
 *
 * Calls reject with `runtime_closed`, with `store.unavailable` if the store fails, and with the codes named at each
 * method.
 */
export class Processes {
  /**
   * The complete store interface, for hosts that execute processes themselves. Waits here notice what is written
   * through it.
   */
  readonly store: ProcessStore
  /** Waits for processes and drives their work. An engine that executes processes itself attaches here. */
  readonly driver: WorkDriver
  /**
   * Defines how processes of a kind are run, and runs pending ones. Takes a definition, or the arguments of
   * `defineProcess`. Returns the definition. Raises `invalid_input`, `process.kind_defined` and `runtime_closed`.
   */
  readonly define: DefineProcess = ((definition: ProcessDefinition | string, ...rest: unknown[]) => {
    this.#checkOpen()
    const make = defineProcess as (kind: string, ...given: unknown[]) => ProcessDefinition
    const defined = isProcessDefinition(definition) ? definition : make(definition, ...rest)
    this.#add(defined)
    this.#drive('define')
    return defined
  }) as DefineProcess
  readonly #options: ProcessesOptions
  readonly #hub: ProcessHub
  readonly #definitions = new Definitions()
  readonly #awaiter: Awaiter
  readonly #worker: Worker
  readonly #wakes: Wakes
  readonly #spans: ProcessSpans | undefined
  readonly #port: ProcessHandlePort
  readonly #sweepIntervalMs: number | undefined
  /** Aborts when all is over, for what would otherwise be waited for beyond that. */
  readonly #over = new AbortController()
  #sweep: Deadline | undefined
  #announced: AsyncDisposable | undefined
  #isClosed = false

  constructor(options: ProcessesOptions) {
    const { clock, deadlines, ids, logger, jobs, inspect, define = [], onWake, sink, ...given } = options
    const { tracer, instruments, ...rest } = given
    const { owner = rest.store.writers === 'many' ? `host:${ids.uuid()}` : 'host', sweepIntervalMs } = rest
    this.#options = options
    if (rest.facets !== undefined) checkDurability(rest.store.durabilityTier(), rest.facets)
    this.#spans = tracer === undefined ? undefined : new ProcessSpans(tracer, logger)
    const metrics = instruments === undefined ? undefined : new ProcessMetrics(instruments)
    const { store, hub } = watchStore(rest.store, {
      clock,
      logger,
      onWake: () => this.#wakes.look(),
      ...(metrics !== undefined && {
        onEnd: (id, record) => void silence(measureEnd(metrics, rest.store, id, record)),
      }),
      ...(sink !== undefined && { sink }),
      ...(rest.sinkTimeoutMs !== undefined && { sinkTimeoutMs: rest.sinkTimeoutMs }),
      ...(rest.emitLifecycle !== undefined && { emitLifecycle: rest.emitLifecycle }),
    })
    this.store = store
    this.#hub = hub
    this.#awaiter = new Awaiter({
      store,
      hub,
      clock,
      ...(rest.longestPollMs !== undefined && { longestPollMs: rest.longestPollMs }),
    })
    const runner = new DefinitionRunner({
      definitions: this.#definitions,
      awaiter: this.#awaiter,
      clock,
      deadlines,
      logger,
      startChild: (...child) => this.#startChild(...child),
    })
    const { systemDirectory: directory } = rest
    this.#worker = new Worker({
      store,
      awaiter: this.#awaiter,
      runner:
        directory === undefined
          ? runner
          : combineRunners(runner, new SystemRunner({ directory, clock, deadlines, ids, logger })),
      owner: { ownerId: owner, incarnationId: ids.uuid(), liveness: localLiveness() },
      clock,
      ids,
      jobs,
      logger,
      ...(sink !== undefined && { sink }),
      ...(rest.concurrency !== undefined && { concurrency: rest.concurrency }),
      ...(rest.timings !== undefined && { timings: rest.timings }),
      ...(rest.retryDelayMs !== undefined && { retryDelayMs: rest.retryDelayMs }),
      ...(this.#spans !== undefined && { spans: this.#spans }),
      ...(metrics !== undefined && { metrics }),
      ...(inspect !== undefined && { inspect }),
    })
    this.driver = new WorkDriver({ store, hub, awaiter: this.#awaiter, runs: this.#worker, clock, logger })
    this.#wakes = new Wakes({ store, deadlines, logger, fallback: onWake })
    this.#port = {
      driver: this.driver,
      awaiter: this.#awaiter,
      ids,
      logger,
      share: new LoopShare(clock),
      over: this.#over.signal,
      // A process that is running here learns of the change by itself.
      drive: (reason, processId) => {
        if (!this.#worker.isAtWorkOn(processId)) this.#drive(reason)
      },
    }
    this.#sweepIntervalMs = sweepIntervalMs ?? (store.writers === 'many' ? defaultSweepIntervalMs : undefined)
    for (const definition of define) this.#add(definition)
  }

  /** Runs pending processes and delivers pending wakes. Called once the store accepts calls. */
  begin(): void {
    this.#announced = this.#options.store.announcements?.listen(
      (processId) => this.#hub.wake(processId),
      () => this.#hub.wakeAll(),
    )
    this.#drive('open')
    this.#wakes.look()
    this.#sweepLater()
  }

  /**
   * Starts a process by its definition, or by the name of a kind defined here. If a process with the same id and the
   * same input already exists, that one is returned. Resolves with a handle once the start is durable. Rejects with
   * `invalid_input`, with `process.registration_conflict` if the id was used with something different, with
   * `process.registration_invalid` if the input is too large or nested too deeply, and with `process.kind_unknown`.
   */
  start<Input, Output, Events extends SchemaMap, Signals extends SchemaMap>(
    definition: ProcessDefinition<Input, Output, Events, Signals>,
    input: Input,
    options?: StartProcessOptions,
  ): Promise<ProcessHandle<Output, Signals>>
  start(kind: string, input?: unknown, options?: StartProcessOptions): Promise<ProcessHandle>
  start(
    process: ProcessDefinition | string,
    input?: unknown,
    options: StartProcessOptions = {},
  ): Promise<ProcessHandle> {
    return silence(this.#start(process, input, options))
  }

  /**
   * Starts an operating system program as a process, unless one already exists under its id. Resolves with a handle
   * once the start is durable. It runs on this host if the runtime has a `systemDirectory`. Rejects with
   * `invalid_input`, `process.registration_conflict`, and `process.registration_invalid` if the command is too large.
   */
  startCommand(command: StartCommandOptions): Promise<ProcessHandle<SystemResult>> {
    return silence(this.#startCommand(command))
  }

  /**
   * Starts a process from a complete registration, unless it already exists: for hosts that choose the disposition,
   * attempts or environment per process. Resolves with a handle once the start is durable. It runs on this host if a
   * definition here has its `envRef`. Rejects with `process.registration_invalid` and `process.registration_conflict`.
   */
  register(registration: ProcessRegistration): Promise<ProcessHandle> {
    return silence(this.#register(registration))
  }

  /**
   * Calls the listener with the id of every process that has changed, once the change is durable. Read the process to
   * learn what changed. On a store that several hosts share, changes made elsewhere are not reported. If the listener
   * throws, that is logged once and has no other effect. Raises `invalid_input`.
   */
  onChange(listener: (processId: ProcessId) => void): Disposable {
    const { logger } = this.#options
    const checked = decode(listenerSchema, listener, 'listener to changes')
    return this.#hub.listen(guardedObserver(checked, logger, 'a listener to changes of processes threw'))
  }

  /**
   * Returns the handle of a process by its id, typed by its definition. Reads nothing: the handle's methods reject if
   * there is no such process.
   */
  get<Output, Events extends SchemaMap, Signals extends SchemaMap>(
    definition: ProcessDefinition<unknown, Output, Events, Signals>,
    processId: ProcessId,
  ): ProcessHandle<Output, Signals>
  get(definition: undefined, processId: ProcessId): ProcessHandle
  get(definition: ProcessDefinition | undefined, processId: ProcessId): ProcessHandle {
    return new ProcessHandle(processId, definition ?? {}, this.#port)
  }

  /** Lists processes that match the filter, ordered by id. By default only those that have not ended. */
  async list(filter: ProcessListFilter = {}): Promise<readonly ProcessRecord[]> {
    const { share } = this.#port
    if (share.isUsedUp) await share.turn()
    return this.store.listProcesses(filter)
  }

  /**
   * Handles the wakes of a session from now on, pending ones first, each at least once. A wake is acknowledged when the
   * handler resolves, unless it resolves with `false`. Dispose the result to stop. Raises `invalid_input`.
   */
  onWake(sessionId: string, handler: WakeHandler): Disposable {
    this.#checkOpen()
    return this.#wakes.handle(takeId(sessionId, 'session id'), decode(handlerSchema, handler, 'wake handler'))
  }

  /**
   * Looks for work once, for callers that write to the store in other ways. Resolves when there is no more work, or no
   * free slot for it.
   */
  async drive(): Promise<DriveReport> {
    this.#checkOpen()
    return this.driver.claimAndRunPending('asked')
  }

  /** Whether any process is running or waiting here. */
  get isRunning(): boolean {
    return this.#worker.size > 0
  }

  /** Removes every handle and wake target of a session. Its processes go on. */
  async forgetSession(sessionId: string): Promise<void> {
    // No process can refer to a name that is not a valid id.
    if (v.is(idSchema, sessionId)) await this.store.deleteSessionProcessState(sessionId)
  }

  /**
   * Runs nothing new until {@link Processes.release}, and hands rerunnable processes over to other hosts. The others go
   * on.
   */
  hold(): void {
    this.#worker.hold()
  }

  /** Resumes running pending processes. */
  release(): void {
    this.#worker.release()
    this.#drive('release')
  }

  /** Starts nothing new and tells runs to stop. Rerunnable processes are immediately free for the next host. */
  async close({ graceMs, drain }: CloseProcessesOptions): Promise<void> {
    this.#isClosed = true
    this.#sweep?.[Symbol.dispose]()
    await this.#worker.close(graceMs)
    if (drain) await this.#drain()
    await this.#closeWakes(graceMs)
    await this.#announced?.[Symbol.asyncDispose]()
    this.#awaiter[Symbol.dispose]()
    this.#over.abort(closedError())
  }

  async #start(
    process: ProcessDefinition | string,
    input: unknown,
    options: StartProcessOptions,
  ): Promise<ProcessHandle> {
    this.#checkOpen()
    const definition = this.#definitionOf(process)
    const subject = `input of ${definition.kind}`
    const { id = this.#options.ids.uuid(), ...rest } = decode(startSchema, options, 'start options')
    await startWithin(this.#spans, { kind: definition.kind, processId: id }, async (trace) => {
      if (definition.input !== undefined)
        await abortable(checkValue(definition.input, input, subject), this.#over.signal)
      const payload = encodeValue(input, subject) ?? null
      this.#worker.offer(
        await this.store.registerProcess(registrationOf(definition, id, payload, { ...trace, ...rest })),
      )
    })
    return new ProcessHandle(id, definition, this.#port)
  }

  async #startCommand(command: StartCommandOptions): Promise<ProcessHandle<SystemResult>> {
    this.#checkOpen()
    const { id: named, ...given } = decode(startCommandSchema, command, 'system process')
    const id = takeId(named ?? this.#options.ids.uuid())
    const registration = systemProcess({ id, ...given })
    await startWithin(this.#spans, { kind: systemKind, processId: id }, async (trace) => {
      this.#worker.offer(await this.store.registerProcess({ ...registration, ...trace }))
    })
    return new ProcessHandle<SystemResult>(registration.id, {}, this.#port)
  }

  async #register(registration: ProcessRegistration): Promise<ProcessHandle> {
    this.#checkOpen()
    const record = await this.store.registerProcess(registration)
    this.#worker.offer(record)
    return new ProcessHandle(record.id, {}, this.#port)
  }

  async #startChild(
    definition: ProcessDefinition,
    id: ProcessId,
    input: JsonValue,
    parent: ProcessRecord,
  ): Promise<void> {
    const { originator } = parent.provenance
    const causedBy = { type: 'process', processId: parent.id } as const
    try {
      await startWithin(this.#spans, { kind: definition.kind, processId: id }, async (trace) => {
        const child = registrationOf(definition, id, input, { ...trace, originator, causedBy })
        this.#worker.offer(await this.store.registerProcess(child))
      })
    } catch (refusal) {
      // The child id contains the parent, the name and the input, so the conflict means that the parent called it
      // before, with another version.
      if (!StatewardError.is(refusal, 'process.registration_conflict')) throw refusal
      this.#drive('call')
    }
  }

  #definitionOf(process: unknown): ProcessDefinition {
    if (isProcessDefinition(process)) return process
    if (typeof process === 'string') return this.#definitions.ofKind(process)
    const reason = `neither made by defineProcess nor the name of a kind: ${textOf(process)}`
    throw new InvalidInputError({ subject: 'process', field: '$', reason })
  }

  #add(definition: ProcessDefinition): void {
    this.#definitions.add(definition)
    const { kind, options } = definition
    if (options.concurrency !== undefined) this.#worker.limit(kind, { limit: options.concurrency })
  }

  /** Failures are reported where they happen: by the driver, the worker and its sink. */
  #drive(reason: string): void {
    if (!this.#isClosed) silence(this.driver.claimAndRunPending(reason))
  }

  #sweepLater(): void {
    const interval = this.#sweepIntervalMs
    if (interval === undefined || this.#isClosed) return
    this.#sweep = this.#options.deadlines.after(interval, () => {
      this.#drive('sweep')
      this.#wakes.look()
      this.#sweepLater()
    })
  }

  async #drain(): Promise<void> {
    const { abandoned, deferred } = await this.#worker.drainOwnerBoundWork()
    const { logger } = this.#options
    if (abandoned.length > 0) logger.info({ abandoned }, 'processes bound to this host were abandoned')
    if (deferred.length > 0) logger.warn({ deferred }, 'processes bound to this host could not be abandoned')
  }

  /** A wake handler that does not return delays closing no longer than a run may. */
  async #closeWakes(graceMs: number): Promise<void> {
    const closed = this.#wakes.close()
    if (graceMs === 0) return
    const late = createDeferred<void>()
    const deadline = this.#options.deadlines.after(graceMs, () => late.resolve())
    await Promise.race([closed, late.promise])
    deadline[Symbol.dispose]()
  }

  #checkOpen(): void {
    if (this.#isClosed) throw closedError()
  }
}

function closedError(): StatewardError {
  return new StatewardError('runtime_closed', 'the runtime is closed', {})
}

/** Some calls end a process without returning its record, so it is read here. */
async function measureEnd(
  metrics: ProcessMetrics,
  store: ProcessStore,
  id: ProcessId,
  record: ProcessRecord | undefined,
): Promise<void> {
  const ended = record ?? (await store.getProcess(id))
  if (ended !== undefined) metrics.ended(ended)
}
