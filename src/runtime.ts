import { dirname, resolve } from 'node:path'
import * as v from 'valibot'
import { checkedClock } from './base/checked-clock.js'
import { checkedIds } from './base/checked-ids.js'
import { DeadlineQueue } from './base/deadline-queue.js'
import { systemClock, type Clock } from './base/clock.js'
import { decode } from './base/decode.js'
import { InvalidInputError, messageOf, StatewardError } from './base/errors.js'
import { createUuidSource, type IdSource } from './base/ids.js'
import { inspectOption } from './base/inspection.js'
import { silentLogger, type Logger } from './base/logger.js'
import { guardedLogger } from './base/observers.js'
import {
  checkText,
  durationSchema,
  functionSchema,
  nameSchema,
  optionsSchema,
  portSchema,
  textOf,
  textSchema,
  wholeNumberSchema,
} from './base/options.js'
import { clockSchema, idSourceSchema, loggerSchema } from './base/ports.js'
import { silence } from './base/promises.js'
import { createDirectoryJournal } from './journal/directory-journal.js'
import { JournalError } from './journal/errors.js'
import type { JournalCut, JournalStore } from './journal/journal.js'
import { makeDirectories } from './journal/node-file-system.js'
import { Lane } from './lane/lane.js'
import {
  events,
  inspectSchema,
  isPlainName,
  limitsSchema,
  OperationsHistory,
  sessionOfStream,
  type CoreOptions,
  type EpochId,
  type Inspect,
  type RegistryLimits,
} from './operations/index.js'

import { Session } from './session.js'
import { attemptsSessionName, createSessionRunner } from './task-operations.js'
import { dispatchOptionsSchema, TaskAuthority, Tasks, type DispatchOptions } from './tasks/index.js'
import { tracerSchema, type Tracer } from './tracing.js'
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

const runtimeOptionsSchema = optionsSchema<RuntimeOptions>({
  dataDir: v.optional(nameSchema),
  lockWaitMs: v.optional(durationSchema),
  onDamage: v.optional(v.picklist(['cut', 'refuse'])),
  store: v.optional(portSchema<JournalStore>(['open'])),
  clock: v.optional(clockSchema),
  ids: v.optional(idSourceSchema),
  inspect: v.optional(inspectSchema),
  logger: v.optional(loggerSchema),
  tracer: v.optional(tracerSchema),
  compactAfter: v.optional(wholeNumberSchema(1)),
  tasks: v.optional(dispatchOptionsSchema),
  random: v.optional(functionSchema<() => number>()),
})

/** How a runtime is shut down. */
export interface CloseOptions {
  /**
   * `retire` lets attempts of tasks end and asks operations to wind down, and stops the rest after the grace period;
   * `terminate` does so at once. Attempts that are stopped are resumed by the next process. Default `retire`.
   */
  readonly policy?: 'retire' | 'terminate'
  /** Milliseconds that `retire` waits, for attempts first and then for operations: from 0 to 25 years. Default 5,000. */
  readonly graceMs?: number
  /** Written into the outcome of what is terminated. */
  readonly reason?: string
}

const closeOptionsSchema = optionsSchema<CloseOptions>({
  policy: v.optional(v.picklist(['retire', 'terminate'])),
  graceMs: v.optional(durationSchema),
  reason: v.optional(textSchema()),
})

const defaultGraceMs = 5000

/**
 * Opens a runtime: reads back what the journal holds, then takes work. Rejects with `invalid_input` for a wrong option
 * or a clock that breaks its contract, with the errors of the journal (`journal_locked`, `journal_corrupt`, ...) and
 * with those of records that contradict each other.
 */
export async function createRuntime(options: RuntimeOptions = {}): Promise<Runtime> {
  return Runtime.open(options)
}

/** Many sessions and the tasks over one journal, one clock and one deadline queue. */
export class Runtime implements AsyncDisposable {
  /** What must run. Attempts show as operations of {@link Runtime.attempts}. */
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
      random: checkedRandom(random),
      clock: core.clock,
      deadlines: this.#deadlines,
      logger: core.logger ?? silentLogger,
      runner: createSessionRunner(() => this.#attempts()),
      ...(core.inspect !== undefined && { inspect: core.inspect }),
      ...(tasks !== undefined && { dispatch: tasks }),
    })
  }

  static async open(given: RuntimeOptions): Promise<Runtime> {
    const options = decode(runtimeOptionsSchema, given, 'runtime options')
    const { inspect, compactAfter } = options
    const logger = guardedLogger(options.logger)
    const clock = checkedClock(options.clock ?? systemClock)
    const ids = options.ids === undefined ? createUuidSource({ now: () => clock.wallNow() }) : checkedIds(options.ids)
    const core: CoreOptions = { clock, logger, ...inspectOption(inspect, logger) }
    const store = await asJournalError('open', () => storeOf(options, clock, logger))
    const histories = new Map<SessionId, OperationsHistory>()
    const authority = new TaskAuthority({ logger })
    const lane = await asJournalError('open', () =>
      Lane.open({
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
      }),
    )
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
   * The session of this name, recovered or new; the same instance every time. A `maxConcurrent` counts from this call
   * on, also for a session that is there already; leaving it out changes nothing. `maxCompleted` counts when it is made.
   * Raises `invalid_input` for a limit that is not a whole number or a name that is blank, longer than 256 characters,
   * holds control characters or is the one of {@link Runtime.attempts}, `session_exists` while one is being imported
   * under the name, and `runtime_closed` after {@link Runtime.close}.
   */
  session(name: string, limits: RegistryLimits = {}): Session {
    this.#checkOpen()
    const id = checkSessionName(name)
    const decoded = decode(limitsSchema, limits, 'registry limits')
    const existing = this.#sessions.get(id)
    if (existing !== undefined) return this.#limit(existing, decoded)
    if (this.#imports.has(id)) throw sessionExists(id)
    const history = new OperationsHistory(id, this.#core)
    history.open(this.#ids.uuid() as EpochId, decoded)
    this.#lane.attach(history)
    this.#lane.note(history, events.opened(history.epochId, history.core.records))
    return this.#adopt(history, id)
  }

  /**
   * The session in which attempts of tasks show as operations. It stays in memory, because the tasks room keeps their
   * truth, and no caller can choose its name. Raises `runtime_closed` when nothing has been attempted before the end.
   */
  get attempts(): Session {
    if (this.#attemptsInMemory === undefined) this.#checkOpen()
    return this.#attempts()
  }

  /** The session of this name if there is one; unlike {@link Runtime.session} it makes none. Raises `invalid_input`. */
  findSession(name: string): Session | undefined {
    checkText('session name', name)
    return this.#sessions.get(name as SessionId)
  }

  /** Every session, recovered ones and the one of attempts included. */
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
        facts: [events.imported(history.exported())],
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
   * Rejects with `invalid_input` for a name that no session can have.
   */
  async deleteSession(name: string, reason = 'session deleted'): Promise<void> {
    this.#checkOpen()
    checkText('reason of a deletion', reason)
    const session = this.#sessions.get(checkSessionName(name))
    if (session === undefined) return
    const deletion = this.#deletions.get(session) ?? this.#delete(session, reason)
    this.#deletions.set(session, deletion)
    await deletion
  }

  /**
   * The way out after a failed sync: work whose durability was unknown is dropped from the journal, and the runtime goes on.
   * Rejects with `lane_apply_failed` when memory is behind the journal: then close the runtime and open it anew.
   */
  reopen(): Promise<void> {
    return asJournalError('reopen', () => this.#lane.reopen())
  }

  /** Resolves once the journal has answered for everything so far; see {@link Runtime.health} for what it said. */
  flush(): Promise<void> {
    return this.#lane.settled()
  }

  /** Writes a snapshot and shortens the journal now instead of when it has grown. */
  compact(): Promise<void> {
    return silence(asJournalError('compact', () => this.#lane.compact()))
  }

  /**
   * Refuses new work, winds down or terminates what runs, flushes and releases the journal. Later calls share the first
   * one. Rejects with `invalid_input` for a wrong option, and the runtime stays open; and with the lane's error when
   * ends could not be made durable; everything is released all the same.
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
    await asJournalError('close', () => this.#lane.close())
    await this.#memoryLane.close()
    for (const closing of [...drained, ...closings]) if (closing.status === 'rejected') throw closing.reason
  }

  async #delete(session: Session, reason: string): Promise<void> {
    const { history, operations } = session
    try {
      await operations.retireOwner(reason)
      await this.#lane.submit(history, () => ({
        facts: [events.deleted()],
        commit: () => this.#forget(session, history),
        discard: () => {},
      }))
    } finally {
      this.#deletions.delete(session)
    }
  }

  /** What is said of a session that is there already. */
  #limit(session: Session, { maxConcurrent, maxCompleted }: RegistryLimits): Session {
    const { operations, history } = session
    if (maxConcurrent !== undefined) operations.limitConcurrency(maxConcurrent)
    const { maxCompleted: made } = history.core.records
    if (maxCompleted !== undefined && Math.max(1, maxCompleted) !== made) {
      const fields = { session: session.id, asked: maxCompleted, kept: made }
      this.#core.logger?.warn(fields, 'maxCompleted counts when a session is made, it stays as it was')
    }
    return session
  }

  #attempts(): Session {
    if (this.#attemptsInMemory !== undefined) return this.#attemptsInMemory
    const id = attemptsSessionName as SessionId
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

/** What a store of another make throws leaves as `journal_io`; our own errors stay as they are. */
async function asJournalError<Value>(operation: string, work: () => Promise<Value>): Promise<Value> {
  try {
    return await work()
  } catch (error) {
    if (StatewardError.is(error)) throw error
    const cause = messageOf(error)
    const data = { operation, file: 'store', cause }
    throw new JournalError('journal_io', `the journal failed to ${operation}: ${cause}`, data, { cause: error })
  }
}

/** A delay that is spread by something else than a fraction would be none. Raises `invalid_input`. */
function checkedRandom(random: () => number): () => number {
  return () => {
    const fraction: unknown = random()
    if (typeof fraction === 'number' && fraction >= 0 && fraction < 1) return fraction
    throw new InvalidInputError({ subject: 'random', field: '$', reason: `not from 0 up to 1: ${textOf(fraction)}` })
  }
}

function sessionExists(id: SessionId): StatewardError {
  return new StatewardError('session_exists', `session already exists: ${id}`, { id })
}

function checkSessionName(name: string): SessionId {
  if (name === attemptsSessionName) {
    throw new InvalidInputError({ subject: 'session name', field: '$', reason: 'the name of the attempts of tasks' })
  }
  if (isPlainName(name)) return name as SessionId
  throw new InvalidInputError({
    subject: 'session name',
    field: '$',
    reason: 'blank, too long, or with control characters',
  })
}
