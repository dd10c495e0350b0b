import type { Clock } from '../base/clock.js'
import { decode } from '../base/decode.js'
import type { DeadlineQueue } from '../base/deadline-queue.js'
import { InvalidInputError } from '../base/errors.js'
import type { IdSource } from '../base/ids.js'
import type { Inspect } from '../base/inspection.js'
import type { Logger } from '../base/logger.js'
import type { Instruments } from '../base/meter.js'
import { checkText } from '../base/options.js'
import type { Lane } from '../lane/lane.js'
import type { LaneStream } from '../lane/types.js'
import type { JobList } from '../work/job-list.js'
import type { Tracer } from '../work/job-span.js'
import type { SessionId } from '../../machines/operation-vocabulary.js'
import { internalError, OperationError } from './errors.js'
import { OperationsHistory, sessionOfStream } from './history.js'
import { sessionDeleted } from './session-state.js'
import { limitsSchema, type SessionLimits } from './limits.js'
import { OperationMetrics } from './operation-metrics.js'
import { operationsLost } from './operation-lines.js'
import { Session, type SessionCloseOptions } from './session.js'
import { isPlainName } from './source.js'
import type { EpochId } from './types.js'

/** Maximum number of lost operations named in one log line. */
const mostLostTold = 10

/** Options of {@link SessionDirectory}. */
export interface SessionDirectoryOptions {
  readonly clock: Clock
  readonly logger: Logger
  readonly inspect?: Inspect
  readonly ids: IdSource
  readonly deadlines: DeadlineQueue
  /** The list of running jobs. */
  readonly jobs: JobList
  readonly tracer?: Tracer
  readonly instruments?: Instruments
}

/**
 * The sessions of a runtime, by name. It is created before the lane, which asks it for the stream of every session in
 * the journal. Once everything is recovered, {@link SessionDirectory.start} creates the sessions that were not deleted.
 */
export class SessionDirectory {
  readonly #options: SessionDirectoryOptions
  readonly #metrics: OperationMetrics | undefined
  readonly #sessions = new Map<SessionId, Session>()
  /** Recovered streams, until the lane is open. */
  #restored: OperationsHistory[] = []
  /** Names of sessions whose import is not durable yet. */
  readonly #imports = new Set<SessionId>()
  /** Deletions in progress. */
  readonly #deletions = new Map<Session, Promise<void>>()
  /** Whether new operations are accepted; shared with every session. */
  readonly #intake = { isOpen: true }
  #lane: Lane | undefined

  constructor(options: SessionDirectoryOptions) {
    this.#options = options
    const { instruments } = options
    this.#metrics = instruments && new OperationMetrics(instruments)
  }

  /** The stream to recover under this name; `undefined` if it does not belong to a session. */
  streamFor(name: string): LaneStream | undefined {
    const id = sessionOfStream(name)
    if (id === undefined) return undefined
    const history = new OperationsHistory(id, this.#options)
    this.#restored.push(history)
    return history
  }

  /** Creates the recovered sessions. Raises `invalid_input` or `internal` for records that contradict each other. */
  start(lane: Lane): void {
    this.#lane = lane
    for (const history of this.#restored) history.finishRestore()
    for (const history of this.#restored) {
      const id = sessionOfStream(history.name)
      if (id !== undefined && history.isOpened) {
        history.start(lane)
        this.#tellLost(this.#adopt(history, id))
      } else {
        history.state.close()
        lane.detach(history)
      }
    }
    this.#restored = []
  }

  /**
   * Ends operations that an earlier process left unfinished although an operation above them had ended. Only the owner
   * of the directory may do this.
   */
  finishTrees(): void {
    for (const session of this.#sessions.values()) session.operations.finishTrees()
  }

  /**
   * The session of this name, existing or new. Raises `invalid_input` for a limit that is not a whole number or a name
   * that no session can have, and `session_exists` while a session is being imported under this name.
   */
  open(name: string, limits: SessionLimits): Session {
    const id = checkSessionName(name)
    const decoded = decode(limitsSchema, limits, 'registry limits')
    const existing = this.#sessions.get(id)
    if (existing !== undefined) return this.#limit(existing, decoded)
    if (this.#imports.has(id)) throw new OperationError('session_exists', { id })
    const history = new OperationsHistory(id, this.#options)
    history.open(this.#options.ids.uuid() as EpochId, decoded)
    history.start(this.#opened)
    history.noteOpened()
    const session = this.#adopt(history, id)
    session.configure(decoded)
    return session
  }

  /** Number of running operations in all sessions. */
  get activeCount(): number {
    let count = 0
    for (const { operations } of this.#sessions.values()) count += operations.activeCount
    return count
  }

  /**
   * Accepts new operations, or refuses them with `node_draining`; children of running operations are accepted in both
   * cases.
   */
  takeWork(isTaken: boolean): void {
    this.#intake.isOpen = isTaken
  }

  /** The session of this name, if it exists. Raises `invalid_input`. */
  find(name: string): Session | undefined {
    checkText('session name', name)
    return this.#sessions.get(name as SessionId)
  }

  /** All sessions. */
  all(): Iterable<Session> {
    return this.#sessions.values()
  }

  /** Creates a session from an exported document, keeping its epoch; see `Runtime.importSession`. */
  async import(name: string, snapshot: unknown): Promise<Session> {
    const id = checkSessionName(name)
    if (this.#sessions.has(id) || this.#imports.has(id)) throw new OperationError('session_exists', { id })
    const history = new OperationsHistory(id, this.#options)
    const steps = history.importOf(snapshot)
    this.#imports.add(id)
    try {
      history.start(this.#opened)
      let session: Session | undefined
      for (const [index, { events, apply }] of steps.entries()) {
        const commit = (): void => {
          apply()
          if (index === steps.length - 1) session = this.#adopt(history, id)
        }
        await this.#opened.submit(history, () => history.stage({ events: () => events, commit, discard: () => {} }))
      }
      return session as Session
    } catch (cause) {
      this.#opened.detach(history)
      history.state.close()
      throw cause
    } finally {
      this.#imports.delete(id)
    }
  }

  /** Ends the running operations of a session and permanently removes its history; see `Runtime.deleteSession`. */
  async delete(name: string, reason: string): Promise<void> {
    checkText('reason of a deletion', reason)
    const session = this.#sessions.get(checkSessionName(name))
    if (session === undefined) return
    const deletion = this.#deletions.get(session) ?? this.#delete(session, reason)
    this.#deletions.set(session, deletion)
    await deletion
  }

  /** Closes all sessions, even if some fail. Rejects with the first failure once all are closed. */
  async close(options: SessionCloseOptions): Promise<void> {
    const closings = await Promise.allSettled(Array.from(this.#sessions.values(), (session) => session.close(options)))
    for (const closing of closings) if (closing.status === 'rejected') throw closing.reason
  }

  get #opened(): Lane {
    if (this.#lane === undefined) throw internalError('the directory of sessions has not started')
    return this.#lane
  }

  async #delete(session: Session, reason: string): Promise<void> {
    const { history, operations } = session
    try {
      await operations.retireOwner(reason)
      await this.#opened.submit(history, () =>
        history.stage({
          events: () => [(sequence) => sessionDeleted.create(sequence, {})],
          commit: () => this.#forget(session, history),
          discard: () => {},
        }),
      )
    } finally {
      this.#deletions.delete(session)
    }
  }

  #tellLost({ id: sessionId, lost }: Session): void {
    if (lost.length === 0) return
    const operationIds = lost.slice(0, mostLostTold).map(({ id }) => id)
    operationsLost(this.#options.logger, { sessionId, operations: lost.length, operationIds })
  }

  /** Applies limits to an existing session. */
  #limit(session: Session, limits: SessionLimits): Session {
    const { operations, history } = session
    const { maxConcurrent, maxCompleted } = limits
    if (maxConcurrent !== undefined) operations.limitConcurrency(maxConcurrent)
    session.configure(limits)
    const { maxCompleted: made } = history.core.records.order
    if (maxCompleted !== undefined && Math.max(1, maxCompleted) !== made) {
      const fields = { sessionId: session.id, asked: maxCompleted, kept: made }
      this.#options.logger.warn(fields, 'maxCompleted counts only when a session is created; it was not changed')
    }
    return session
  }

  #adopt(history: OperationsHistory, id: SessionId): Session {
    const session = new Session({
      ...this.#options,
      id,
      history,
      lane: this.#opened,
      metrics: this.#metrics,
      intake: this.#intake,
    })
    this.#sessions.set(id, session)
    return session
  }

  #forget(session: Session, history: OperationsHistory): void {
    this.#sessions.delete(session.id)
    this.#opened.detach(history)
    session.dispose()
  }
}

function checkSessionName(name: string): SessionId {
  if (isPlainName(name)) return name as SessionId
  const reason = 'blank, too long, or with control characters'
  throw new InvalidInputError({ subject: 'session name', field: '$', reason })
}
