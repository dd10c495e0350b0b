import { dirname, resolve } from 'node:path'
import { DeadlineQueue } from './base/deadline-queue.js'
import { systemClock, type Clock } from './base/clock.js'
import { InvalidInputError, StatewardError } from './base/errors.js'
import { createUuidSource, type IdSource } from './base/ids.js'
import { inspectOption } from './base/inspection.js'
import { silentLogger, type Logger } from './base/logger.js'
import { guardedLogger } from './base/observers.js'
import { createDirectoryJournal } from './journal/directory-journal.js'
import type { JournalCut, JournalStore } from './journal/journal.js'
import { makeDirectories } from './journal/node-file-system.js'
import { Lane } from './lane/lane.js'
import {
  facts,
  isPlainName,
  OperationsHistory,
  sessionOfStream,
  type CoreOptions,
  type EpochId,
  type Inspect,
  type RegistryLimits,
} from './operations/index.js'

import { Session } from './session.js'
import { attemptsSessionName, createSessionRunner } from './task-operations.js'
import { TaskAuthority, Tasks, type DispatchOptions } from './tasks/index.js'
import type { Tracer } from './tracing.js'
import type { SessionId } from '../machines/operation-vocabulary.js'

/** What a runtime is built on; everything has a default. */
export interface RuntimeOptions {
  /** Directory of the durable journal, made if missing. Without it, and without `store`, everything stays in memory. */
  readonly dataDir?: string
  /** Another durable log than a directory; excludes `dataDir`. */
  readonly store?: JournalStore
  /**
   * How long opening waits for another owner of `dataDir` to leave, in milliseconds, as in a rolling update; then it
   * rejects with `journal_locked`. Default 0.
   */
  readonly lockWaitMs?: number
  /**
   * What opening does when records at the end of the journal in `dataDir` are damaged or missing that may have been
   * acknowledged: `refuse` rejects with `journal_corrupt`, `cut` keeps the bytes in a file of their own, goes on without
   * these records and says so in {@link Runtime.recovery}. Default `refuse`.
   */
  readonly onDamage?: 'refuse' | 'cut'
  readonly clock?: Clock
  readonly ids?: IdSource
  /** Receives the inspection events of every actor, for instance the observer of `createStatelyInspector`. */
  readonly inspect?: Inspect
  readonly logger?: Logger
  /** Opens one OpenTelemetry span per operation. */
  readonly tracer?: Tracer
  /** Journal records after which a snapshot is written. Default 100,000. */
  readonly compactAfter?: number
  /** How tasks are dispatched. */
  readonly tasks?: DispatchOptions
  /** A number from 0 up to, not including, 1; spreads retries. Default `Math.random`. */
  readonly random?: () => number
}

/** What opening a runtime found in its journal. */
export interface RuntimeRecovery {
  /** What was cut from the end of the journal, from where and into which file; absent when nothing was. */
  readonly cut?: JournalCut
}

/** How a runtime is shut down. */
export interface CloseOptions {
  /**
   * `retire` lets attempts of tasks end and asks operations to wind down, and stops the rest after the grace period;
   * `terminate` does so at once. Attempts that are stopped are resumed by the next process. Default `retire`.
   */
  readonly policy?: 'retire' | 'terminate'
  /** Milliseconds that `retire` waits, for attempts first and then for operations. Default 5,000. */
  readonly graceMs?: number
  /** Written into the outcome of what is terminated. */
  readonly reason?: string
}

const defaultGraceMs = 5000

/**
 * Opens a runtime: reads back what the journal holds, then takes work. Rejects with the errors of the
 * journal (`journal_locked`, `journal_corrupt`, ...) and with those of records that contradict each other.
 */
export async function createRuntime(options: RuntimeOptions = {}): Promise<Runtime> {
  return Runtime.open(options)
}

/** Many sessions and the tasks over one journal, one clock and one deadline queue. */
export class Runtime implements AsyncDisposable {
  /** What must run. Attempts show as operations of the session `tasks`, which stays in memory: their truth is kept here. */
  readonly tasks: Tasks
  /** What opening found: whoever minds a loss looks here. */
  readonly recovery: RuntimeRecovery
  readonly #lane: Lane
  readonly #sessions: Map<SessionId, Session>
  readonly #makeSession: (history: OperationsHistory, id: SessionId, lane?: Lane) => Session
  readonly #memoryLane: Lane
  readonly #ids: IdSource
  readonly #deadlines: DeadlineQueue
  readonly #core: CoreOptions
  /** Names of sessions whose import is not durable yet. */
  readonly #imports = new Set<SessionId>()
  /** Deletions under way. */
  readonly #deletions = new Map<Session, Promise<void>>()
  #attemptsInMemory: Session | undefined
  #closing: Promise<void> | undefined

  private constructor(
    lane: Lane,
    memoryLane: Lane,
    histories: ReadonlyMap<SessionId, OperationsHistory>,
    authority: TaskAuthority,
    ids: IdSource,
    core: CoreOptions,
    { tracer, tasks, random = Math.random }: RuntimeOptions,
  ) {
    this.recovery = Object.freeze(lane.cut === undefined ? {} : { cut: Object.freeze({ ...lane.cut }) })
    this.#lane = lane
    this.#memoryLane = memoryLane
    this.#ids = ids
    this.#core = core
    this.#deadlines = new DeadlineQueue(core.clock)
    this.#makeSession = (history, id, itsLane = lane) =>
      new Session({
        id,
        history,
        lane: itsLane,
        ids,
        clock: core.clock,
        deadlines: this.#deadlines,
        logger: core.logger ?? silentLogger,
        ...(core.inspect !== undefined && { inspect: core.inspect }),
        ...(tracer !== undefined && { tracer }),
      })
    this.#sessions = new Map()
    for (const [id, history] of histories) {
      if (history.isOpened) this.#sessions.set(id, this.#makeSession(history, id))
      else lane.detach(history)
    }
    this.tasks = new Tasks({
      authority,
      ids,
      random,
      clock: core.clock,
      deadlines: this.#deadlines,
      logger: core.logger ?? silentLogger,
      runner: createSessionRunner(() => this.#attempts()),
      ...(core.inspect !== undefined && { inspect: core.inspect }),
      ...(tasks !== undefined && { dispatch: tasks }),
    })
  }

  static async open(options: RuntimeOptions): Promise<Runtime> {
    const { clock = systemClock, inspect, compactAfter } = options
    const logger = guardedLogger(options.logger)
    const ids = options.ids ?? createUuidSource({ now: () => clock.wallNow() })
    const core: CoreOptions = { clock, logger, ...inspectOption(inspect, logger) }
    const store = await storeOf(options, clock, logger)
    const histories = new Map<SessionId, OperationsHistory>()
    const authority = new TaskAuthority({ logger })
    const lane = await Lane.open({
      logger,
      ...(store !== undefined && { store }),
      ...(compactAfter !== undefined && { compactAfter }),
      streamFor: (name) => {
        if (name === TaskAuthority.streamName) return authority
        const id = sessionOfStream(name)
        if (id === undefined) return undefined
        const history = new OperationsHistory(id, core)
        histories.set(id, history)
        return history
      },
    })
    try {
      for (const history of histories.values()) history.finishRestore()
      authority.start(lane)
      return new Runtime(lane, await openMemoryLane(logger), histories, authority, ids, core, options)
    } catch (cause) {
      await lane.close()
      throw cause
    }
  }

  /** Whether durable changes are possible; a poisoned runtime needs {@link Runtime.reopen}. */
  get health(): Lane['health'] {
    return this.#lane.health
  }

  /**
   * The session of this name, recovered or new; the same instance every time. Limits count when it is made.
   * Raises `invalid_input` for a limit that is not a whole number or a name that is blank, longer than 256 characters
   * or holds control characters, `session_exists` while one is being imported under the name, and `runtime_closed`
   * after {@link Runtime.close}.
   */
  session(name: string, limits: RegistryLimits = {}): Session {
    this.#checkOpen()
    const id = checkSessionName(name)
    const existing = this.#sessions.get(id)
    if (existing !== undefined) return existing
    if (this.#imports.has(id)) throw sessionExists(id)
    if (id === attemptsSessionName) return this.#attempts()
    const history = new OperationsHistory(id, this.#core)
    history.open(this.#ids.uuid() as EpochId, limits)
    this.#lane.attach(history)
    this.#lane.note(history, facts.opened(history.epochId, history.core.records))
    return this.#adopt(history, id)
  }

  /** The session of this name if there is one; unlike {@link Runtime.session} it makes none. */
  findSession(name: string): Session | undefined {
    return this.#sessions.get(name as SessionId)
  }

  /** Every session, recovered ones included. */
  sessions(): Iterable<Session> {
    return this.#sessions.values()
  }

  /**
   * Makes a session from a snapshot that another registry exported (spec operations 7.1), keeping its epoch.
   * Rejects with `invalid_input` or `internal` for a bad snapshot, `session_exists` for a name in use, and
   * `lane_not_appended` for a snapshot larger than one journal append may be.
   */
  async importSession(name: string, snapshot: unknown): Promise<Session> {
    this.#checkOpen()
    const id = checkSessionName(name)
    if (this.#sessions.has(id) || this.#imports.has(id)) throw sessionExists(id)
    const history = new OperationsHistory(id, this.#core)
    history.import(snapshot)
    this.#imports.add(id)
    try {
      return await this.#lane.submit(history, () => ({
        facts: [facts.imported(history.exported())],
        commit: () => {
          // Not before it is durable, or a snapshot would hold a session that may yet be refused.
          this.#lane.attach(history)
          return this.#adopt(history, id)
        },
        discard: () => {},
      }))
    } catch (cause) {
      history.core.stop()
      throw cause
    } finally {
      this.#imports.delete(id)
    }
  }

  /**
   * Ends what runs in a session and removes its history for good; the next session of this name is a new epoch.
   * When the journal refuses, the session stays, without its work and without taking new one: call again.
   * Rejects with `session_in_use` for the session that shows attempts of tasks.
   */
  async deleteSession(name: string, reason = 'session deleted'): Promise<void> {
    this.#checkOpen()
    const session = this.#sessions.get(checkSessionName(name))
    if (session === undefined) return
    if (session === this.#attemptsInMemory) {
      throw new StatewardError('session_in_use', `the runtime itself uses the session ${name}`, { id: session.id })
    }
    const deletion = this.#deletions.get(session) ?? this.#delete(session, reason)
    this.#deletions.set(session, deletion)
    await deletion
  }

  /**
   * The way out after a failed sync: work whose durability was unknown is dropped from the journal, and the runtime goes on.
   * Rejects with `lane_apply_failed` when memory is behind the journal: then close the runtime and open it anew.
   */
  reopen(): Promise<void> {
    return this.#lane.reopen()
  }

  /** Resolves once the journal has answered for everything so far; see {@link Runtime.health} for what it said. */
  flush(): Promise<void> {
    return this.#lane.settled()
  }

  /** Writes a snapshot and shortens the journal now instead of when it has grown. */
  compact(): Promise<void> {
    return this.#lane.compact()
  }

  /**
   * Refuses new work, winds down or terminates what runs, flushes and releases the journal. Later calls share the first
   * one. Rejects with the lane's error when ends could not be made durable; everything is released all the same.
   */
  close(options: CloseOptions = {}): Promise<void> {
    checkGrace(options)
    this.#closing ??= this.#close(options)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close({
    policy = 'retire',
    graceMs = defaultGraceMs,
    reason = 'runtime closed',
  }: CloseOptions): Promise<void> {
    // First, because attempts are operations too.
    const draining = Promise.allSettled([this.tasks.close(policy === 'retire' ? graceMs : 0)])
    if (this.tasks.isDispatching) await draining
    const sessions = [...this.#sessions.values()]
    // Each is closed whatever becomes of the others, and the journal is released whatever becomes of them all.
    const closings = await Promise.allSettled(sessions.map((session) => session.close({ policy, graceMs, reason })))
    const drained = await draining
    this.#deadlines[Symbol.dispose]()
    await this.#lane.close()
    await this.#memoryLane.close()
    for (const closing of [...drained, ...closings]) if (closing.status === 'rejected') throw closing.reason
  }

  async #delete(session: Session, reason: string): Promise<void> {
    const { history, operations } = session
    try {
      await operations.retireOwner(reason)
      await this.#lane.submit(history, () => ({
        facts: [facts.deleted()],
        commit: () => this.#forget(session, history),
        discard: () => {},
      }))
    } finally {
      this.#deletions.delete(session)
    }
  }

  /** The session of attempts: in memory, because the tasks room keeps their history already. */
  #attempts(): Session {
    const id = attemptsSessionName as SessionId
    const existing = this.#sessions.get(id)
    if (existing !== undefined) return existing
    const history = new OperationsHistory(id, this.#core)
    history.open(this.#ids.uuid() as EpochId, {})
    this.#memoryLane.attach(history)
    const session = this.#makeSession(history, id, this.#memoryLane)
    this.#attemptsInMemory = session
    this.#sessions.set(id, session)
    return session
  }

  #adopt(history: OperationsHistory, id: SessionId): Session {
    const session = this.#makeSession(history, id)
    this.#sessions.set(id, session)
    return session
  }

  #forget(session: Session, history: OperationsHistory): void {
    this.#sessions.delete(session.id)
    this.#lane.detach(history)
    session.dispose()
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw new StatewardError('runtime_closed', 'the runtime is closed', {})
  }
}

/** The durable log of a runtime; none for one in memory. */
async function storeOf(
  { store, dataDir, lockWaitMs, onDamage }: RuntimeOptions,
  clock: Clock,
  logger: Logger,
): Promise<JournalStore | undefined> {
  if (dataDir === undefined) {
    const field = lockWaitMs !== undefined ? 'lockWaitMs' : 'onDamage'
    if (lockWaitMs !== undefined || onDamage !== undefined) refuseOption(field, 'says something about dataDir only')
    return store
  }
  if (store !== undefined) refuseOption('store', 'excludes dataDir')
  const policies = { ...(lockWaitMs !== undefined && { lockWaitMs }), ...(onDamage !== undefined && { onDamage }) }
  const journal = createDirectoryJournal({ directory: dataDir, logger, clock, ...policies })
  // The journal makes its own directory and insists on the one above it.
  await makeDirectories(dirname(resolve(dataDir)))
  return journal
}

function refuseOption(field: string, reason: string): never {
  throw new InvalidInputError({ subject: 'runtime options', field, reason })
}

/** A lane without a journal, on which nothing is to be read back. */
function openMemoryLane(logger: Logger): Promise<Lane> {
  return Lane.open({ logger, streamFor: () => undefined })
}

function checkGrace({ graceMs = defaultGraceMs }: CloseOptions): void {
  if (graceMs >= 0) return
  throw new InvalidInputError({ subject: 'close options', field: 'graceMs', reason: `not a duration: ${graceMs}` })
}

function sessionExists(id: SessionId): StatewardError {
  return new StatewardError('session_exists', `session already exists: ${id}`, { id })
}

function checkSessionName(name: string): SessionId {
  if (isPlainName(name)) return name as SessionId
  throw new InvalidInputError({
    subject: 'session name',
    field: '$',
    reason: 'blank, too long, or with control characters',
  })
}
