import { checkedClock } from './base/checked-clock.js'
import { checkedIds } from './base/checked-ids.js'
import { DeadlineQueue } from './base/deadline-queue.js'
import { systemClock, type Clock } from './base/clock.js'
import { decode } from './base/decode.js'
import { InvalidInputError, StatewardError } from './base/errors.js'
import { createUuidSource } from './base/ids.js'
import { Inspection } from './base/inspection.js'
import { silentLogger, type Logger } from './base/logger.js'
import { secretKeys } from './base/mask.js'
import { Instruments } from './base/meter.js'
import { guardedLogger, maskingLogger } from './base/observers.js'
import { silence } from './base/promises.js'
import type { JournalCut } from './journal/journal.js'
import { measuredStore } from './journal/measured-journal.js'
import { Lane } from './lane/lane.js'
import { SessionDirectory, type SessionLimits, type Session } from './operations/index.js'
import { LocalNode, NodeHistory, resolveRuntimeNodeOptions } from './node/index.js'
import {
  checkedRandom,
  inspectorServerIn,
  observerIn,
  closeOptionsSchema,
  runtimeOptionsSchema,
  type CloseOptions,
  type InspectorServerOptions,
  type RuntimeOptions,
} from './runtime-options.js'
import { EmbeddedProcessStore, Processes } from './processes/index.js'
import { boundTo } from './runtime-daemons.js'
import { journalReopened, runtimeClosed, runtimeClosing, runtimeOpened } from './runtime-lines.js'
import { NodeMaintenance } from './runtime-node.js'
import { asJournalError, storeOf } from './runtime-store.js'
import { wakeInSession } from './session-wakes.js'
import { isTerminalRunState, runStates, TaskAuthority, Tasks } from './tasks/index.js'
import { JobList } from './work/job-list.js'

/** What opening a runtime found in its journal. */
export interface RuntimeRecovery {
  /**
   * The records that were cut from the end of the journal: from which position, and into which file. Absent if nothing
   * was cut.
   */
  readonly cut?: JournalCut
}

const defaultGraceMs = 5000

/**
 * Opens a runtime: recovers what the journal holds, then accepts work. Rejects with `invalid_input` for an invalid
 * option or a clock that breaks its contract, with the errors of the journal (`journal_locked`, `journal_corrupt`, ...)
 * and with the errors of records that contradict each other.
 */
export async function createRuntime(
  options: RuntimeOptions = {},
  /** @internal Serves the inspector if the options ask for one. */
  openInspector?: OpenInspector,
): Promise<Runtime> {
  return Runtime.open(options, openInspector)
}

/** Serves an inspector for a runtime. */
export type OpenInspector = (
  runtime: Runtime,
  options: InspectorServerOptions,
  use: { readonly clock: Clock; readonly logger: Logger; readonly mask: RegExp | undefined },
) => Promise<OpenedInspector>

/** A served inspector; disposing it disconnects its viewers. */
export interface OpenedInspector extends AsyncDisposable {
  /** Its address, which contains a secret. */
  readonly url: string
}

/** The parts of a runtime. */
interface Parts {
  readonly lane: Lane
  readonly sessions: SessionDirectory
  readonly tasks: Tasks
  readonly processes: Processes
  readonly node: LocalNode | undefined
  readonly deadlines: DeadlineQueue
  readonly jobs: JobList
  readonly clock: Clock
  readonly logger: Logger
  readonly instruments: Instruments | undefined
  readonly inspection: Inspection
  readonly dataDir: string | undefined
}

/** What an inspector needs from a runtime, apart from tasks, processes and sessions. */
interface InspectedParts {
  /** Attaches and detaches viewers of actors. */
  readonly inspection: Inspection
  /** Directory of its journal, if it has one. */
  readonly dataDir: string | undefined
  /** Position of its journal, if it has one. */
  readonly journal: () => Lane['position']
  /** The time by its clock, in epoch milliseconds. */
  readonly nowMs: () => number
  /** Its node, if it has one. */
  readonly node: LocalNode | undefined
}

/** What an entry point with its own timers, such as `stateward/mcp`, needs from a runtime. */
export interface DoorParts {
  readonly clock: Clock
  /** Closed with the runtime: no deadline outlives it. */
  readonly deadlines: DeadlineQueue
  readonly logger: Logger
}

/** A runtime: sessions, tasks and processes on one journal, one clock and one deadline queue. */
export class Runtime implements AsyncDisposable {
  /** Tasks: work that must be done, even if this process dies. */
  readonly tasks: Tasks
  /** Processes: work that others wait for, across restarts. */
  readonly processes: Processes
  /** Everything that is running here: operations, attempts of tasks, processes and daemons. */
  readonly jobs: JobList
  /** What opening found, including what was cut from a damaged journal. */
  readonly recovery: RuntimeRecovery
  /** @internal For inspectors. */
  readonly inspected: InspectedParts
  readonly #node: LocalNode | undefined
  /** @internal For entry points with timers. */
  readonly forDoors: DoorParts
  readonly #lane: Lane
  readonly #sessions: SessionDirectory
  readonly #deadlines: DeadlineQueue
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #instruments: Instruments | undefined
  #inspector: OpenedInspector | undefined
  #closing: Promise<void> | undefined

  private constructor(parts: Parts) {
    const { lane, sessions, tasks, processes, node, deadlines, jobs, clock, logger, instruments } = parts
    const { inspection, dataDir } = parts
    this.recovery = Object.freeze(lane.cut === undefined ? {} : { cut: Object.freeze({ ...lane.cut }) })
    this.tasks = tasks
    this.processes = processes
    this.#node = node
    this.jobs = jobs
    this.#lane = lane
    this.#sessions = sessions
    this.#deadlines = deadlines
    this.#clock = clock
    this.#logger = logger
    this.#instruments = instruments
    const nowMs = (): number => clock.wallNow()
    this.forDoors = { clock, deadlines, logger }
    this.inspected = { inspection, dataDir, journal: () => lane.position, nowMs, node }
  }

  static async open(given: RuntimeOptions, openInspector?: OpenInspector): Promise<Runtime> {
    const options = decode(runtimeOptionsSchema, given, 'runtime options')
    const { inspect, compactAfter, tracer, random = Math.random } = options
    // Invalid options are refused before anything is opened.
    if (options.node !== undefined) resolveRuntimeNodeOptions(options.node)
    const { define, retention, feedCapacity, ...dispatch } = options.tasks ?? {}
    const logger = loggerOf(options)
    const clock = checkedClock(options.clock ?? systemClock)
    const ids = options.ids === undefined ? createUuidSource({ now: () => clock.wallNow() }) : checkedIds(options.ids)
    const openingAt = clock.monotonicNow()
    const deadlines = new DeadlineQueue(clock)
    const jobs = new JobList()
    const instruments = options.meter === undefined ? undefined : new Instruments(options.meter, logger)
    if (instruments !== undefined) measureJobs(instruments, jobs)
    const inspection = new Inspection(observerIn(inspect), logger)
    const shared = {
      clock,
      logger,
      ids,
      deadlines,
      jobs,
      inspect: inspection,
      ...(tracer !== undefined && { tracer }),
      ...(instruments !== undefined && { instruments }),
    }
    const sessions = new SessionDirectory(shared)
    const authority = new TaskAuthority({ logger, ...(feedCapacity !== undefined && { feedCapacity }) })
    const embedded = new EmbeddedProcessStore({ clock, ids, logger })
    const history = new NodeHistory({
      logger,
      ...(options.node?.retention !== undefined && { retention: options.node.retention }),
    })
    const store = await asJournalError('open', () => storeOf(options, clock, logger))
    const measured = store && instruments ? measuredStore(store, instruments, clock) : store
    const lane = await asJournalError('open', () =>
      Lane.open({
        logger,
        clock,
        ...(measured !== undefined && { store: measured }),
        ...(compactAfter !== undefined && { compactAfter }),
        streamFor: (name) => {
          if (name === TaskAuthority.streamName) return authority
          if (name === NodeHistory.streamName) return history
          return name === EmbeddedProcessStore.streamName ? embedded.stream : sessions.streamFor(name)
        },
      }),
    )
    try {
      sessions.start(lane)
      authority.start(lane)
      embedded.start(lane)
      history.start(lane)
      sessions.finishTrees()
      const spread = checkedRandom(random)
      const own = { ...(define && { define }), ...(retention && { retention }) }
      const tasks = new Tasks({ ...shared, authority, random: spread, dispatch, ...own })
      const onWake = wakeInSession(sessions)
      const processes = new Processes({ ...shared, store: embedded, onWake, ...options.processes })
      const node =
        options.node &&
        new LocalNode(options.node, {
          ...shared,
          history,
          bind: boundTo({ processes, ids }),
        })
      if (node !== undefined) new NodeMaintenance({ sessions, tasks, processes, jobs, history, logger }).follow(node)
      await node?.listen()
      processes.begin()
      await node?.start()
      const parts = { lane, sessions, tasks, processes, node, deadlines, jobs, clock, logger, instruments }
      const { dataDir } = options
      const runtime = new Runtime({ ...parts, inspection, dataDir })
      const server = inspectorServerIn(inspect)
      if (server !== undefined) {
        runtime.#inspector = await runtime.#serve(openInspector, server, options.mask)
      }
      runtime.#tellOpened(options.dataDir, openingAt)
      return runtime
    } catch (cause) {
      await lane.close()
      throw cause
    }
  }

  /**
   * The address of the inspector, if `inspect` asks for one. It contains a secret: anyone who knows the address can
   * open it.
   */
  get inspectorUrl(): string | undefined {
    return this.#inspector?.url
  }

  /** The node: what this host should be doing. Raises `invalid_input` if the options define none. */
  get node(): LocalNode {
    if (this.#node !== undefined) return this.#node
    throw new InvalidInputError({
      subject: 'runtime options',
      field: 'node',
      reason: 'missing: this runtime has no node',
    })
  }

  /** Whether durable changes are possible. A poisoned runtime needs {@link Runtime.reopen}. */
  get health(): Lane['health'] {
    return this.#lane.health
  }

  /**
   * The session of this name, recovered or new; the same instance every time. A `maxConcurrent` applies from this call
   * on, also to an existing session; leaving it out changes nothing. `maxCompleted` applies when the session is
   * created. Raises `invalid_input` for a limit that is not a whole number, or for a name that is blank, longer than
   * 256 characters or contains control characters; `session_exists` while a session is being imported under this name;
   * and `runtime_closed` after {@link Runtime.close}.
   */
  session(name: string, limits: SessionLimits = {}): Session {
    this.#checkOpen()
    return this.#sessions.open(name, limits)
  }

  /** The session of this name, if it exists. Unlike {@link Runtime.session} it creates none. Raises `invalid_input`. */
  findSession(name: string): Session | undefined {
    return this.#sessions.find(name)
  }

  /** All sessions, including recovered ones. */
  sessions(): Iterable<Session> {
    return this.#sessions.all()
  }

  /**
   * Creates a session from a snapshot that another registry exported (O-108), keeping its epoch. Rejects with
   * `invalid_input` or `internal` for a bad snapshot, `session_exists` for a name in use, and `lane_not_appended` for a
   * snapshot that exceeds the size of one journal append.
   */
  async importSession(name: string, snapshot: unknown): Promise<Session> {
    this.#checkOpen()
    return this.#sessions.import(name, snapshot)
  }

  /**
   * Ends the running operations of a session and permanently removes its history; the next session of this name has a
   * new epoch. If the journal refuses, the session stays, with nothing running and accepting no new work: call again.
   * Rejects with `invalid_input` for a name that no session can have.
   */
  async deleteSession(name: string, reason = 'session deleted'): Promise<void> {
    this.#checkOpen()
    // Started synchronously, so that the session accepts no new work from now on.
    const deletion = this.#sessions.delete(name, reason)
    await Promise.all([deletion, this.processes.forgetSession(name)])
  }

  /**
   * Continues after a failed sync: work whose durability is unknown is dropped from the journal. Rejects with
   * `lane_apply_failed` if memory is behind the journal; then close the runtime and open it again.
   */
  async reopen(): Promise<void> {
    const { status } = this.health
    await asJournalError('reopen', () => this.#lane.reopen())
    if (status !== this.health.status) journalReopened(this.#logger, {})
  }

  /**
   * Resolves once the journal has accepted or refused all changes so far; {@link Runtime.health} says which. Never
   * rejects.
   */
  flush(): Promise<void> {
    return this.#lane.settled()
  }

  /** Writes a snapshot and shortens the journal now, rather than when it has grown. */
  compact(): Promise<void> {
    return silence(asJournalError('compact', () => this.#lane.compact()))
  }

  /**
   * Refuses new work, winds down or terminates what is running, then flushes and releases the journal. Later calls
   * return the promise of the first. Rejects with `invalid_input` for an invalid option; the runtime then stays open.
   * Rejects with a `LaneError` if some ends could not be made durable; everything is released nevertheless.
   */
  close(options: CloseOptions = {}): Promise<void> {
    let decoded: CloseOptions
    try {
      decoded = decode(closeOptionsSchema, options, 'close options')
    } catch (refusal) {
      return silence(Promise.reject(refusal))
    }
    this.#closing ??= this.#close(decoded)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Rejects with the error of opening the inspector, after closing the runtime. */
  async #serve(
    openInspector: OpenInspector | undefined,
    options: InspectorServerOptions,
    mask: RegExp | undefined,
  ): Promise<OpenedInspector> {
    try {
      if (openInspector === undefined) throw new StatewardError('inspector_unavailable', 'nothing serves it', {})
      return await openInspector(this, options, { clock: this.#clock, logger: this.#logger, mask })
    } catch (cause) {
      await this.close({ policy: 'terminate' })
      throw cause
    }
  }

  async #close({
    policy = 'retire',
    graceMs = defaultGraceMs,
    reason = 'runtime closed',
    drain = false,
  }: CloseOptions): Promise<void> {
    const closingAt = this.#clock.monotonicNow()
    runtimeClosing(this.#logger, { policy, graceMs, reason, jobs: this.jobs.size })
    // Tasks and processes are closed before the sessions, because attempts and runs may run operations.
    const leftMs = policy === 'retire' ? graceMs : 0
    const isAtWork = this.tasks.isDispatching || this.processes.isRunning
    // The node is shut down before everything else, because its daemons use the rest of the runtime.
    const [ended] = await Promise.allSettled([this.#node?.shutdown({ graceMs: leftMs })])
    const draining = [this.tasks.close(leftMs), this.processes.close({ graceMs: leftMs, drain })]
    if (isAtWork) await Promise.allSettled(draining)
    // The journal is released even if some of these fail.
    const closed = await Promise.allSettled([...draining, this.#sessions.close({ policy, graceMs, reason })])
    this.#deadlines[Symbol.dispose]()
    this.#instruments?.[Symbol.dispose]()
    try {
      await asJournalError('close', () => this.#lane.close())
    } finally {
      await this.#inspector?.[Symbol.asyncDispose]()
    }
    this.#node?.closeChains()
    const durationMs = this.#clock.monotonicNow() - closingAt
    runtimeClosed(this.#logger, { durationMs, leftBehind: this.jobs.size })
    for (const part of [ended, ...closed]) if (part.status === 'rejected') throw part.reason
  }

  #tellOpened(dataDir: string | undefined, openingAt: number): void {
    if (this.#logger === silentLogger) return
    const { projection } = this.tasks
    const sessions = [...this.sessions()]
    const openRuns = runStates.reduce(
      (sum, state) => sum + (isTerminalRunState(state) ? 0 : projection.countIn(state)),
      0,
    )
    runtimeOpened(this.#logger, {
      ...(dataDir !== undefined && { dataDir }),
      ...(this.#inspector !== undefined && { inspector: this.#inspector.url }),
      durationMs: this.#clock.monotonicNow() - openingAt,
      sessions: sessions.length,
      lostOperations: sessions.reduce((sum, { lost }) => sum + lost.length, 0),
      tasks: projection.taskCount,
      openRuns,
      ...this.recovery,
    })
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw new StatewardError('runtime_closed', 'the runtime is closed', {})
  }
}

/** The logger in the options, wrapped so that it receives no secrets and never throws. */
function loggerOf({ logger, mask }: RuntimeOptions): Logger {
  return logger === undefined || mask === undefined ? guardedLogger(logger) : maskingLogger(logger, secretKeys(mask))
}

/** Measures running jobs by room and state. */
function measureJobs(instruments: Instruments, jobs: JobList): void {
  instruments.level('stateward.jobs', '{job}', 'Work whose code is running', (observe) => {
    const counts = new Map<string, { readonly room: string; readonly state: string; count: number }>()
    for (const { room, state } of jobs.list()) {
      const known = counts.get(`${room} ${state}`) ?? { room, state, count: 0 }
      known.count += 1
      counts.set(`${room} ${state}`, known)
    }
    for (const { room, state, count } of counts.values()) {
      observe(count, { 'stateward.room': room, 'stateward.job.state': state })
    }
  })
}
