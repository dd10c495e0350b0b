import * as v from 'valibot'
import { eventDefiner } from '../state/event.js'
import { rowDefiner } from '../state/row.js'
import { SequenceCounter } from '../state/sequence.js'
import type { OperationId } from '../../machines/operation-vocabulary.js'
import { OperationsCore, type CoreOptions } from './core.js'
import { internalError } from './errors.js'
import type { RegistryLimits } from './limits.js'
import type { OperationRecords } from './records.js'
import type { CompletionCursors, EpochId } from './types.js'
import { UnfinishedOperations } from './unfinished.js'
import { count, uuid } from './vocabulary.js'

/**
 * The durable state of one session, and the events and the snapshot row that concern the session as a whole. Those of
 * operations, completions and imports are in `operation.ts`, `completion.ts` and `import.ts`.
 *
 * Live calls change the records through the registry's chart. Recovery changes them directly, and keeps unfinished
 * operations only in {@link SessionState.unfinished}, because nothing runs them here any more.
 */
export class SessionState {
  /** Sequence numbers of the events that are not durable yet. */
  readonly sequence = new SequenceCounter()
  /**
   * Operations that were registered and have not ended. During recovery these may still end; afterwards they are lost.
   */
  readonly unfinished = new UnfinishedOperations()
  /** Number of rows imported so far; `undefined` unless an import is in progress. */
  importedRows: number | undefined
  readonly #options: CoreOptions
  #opened: { readonly core: OperationsCore; readonly epochId: EpochId } | undefined
  /** The owner of each sequence, while rows are restored. */
  readonly #claimed = new Map<number, OperationId>()

  /** Called with events that are sent directly to the actor of an operation. */
  onSend: CoreOptions['onSend']

  constructor(options: CoreOptions) {
    this.#options = { ...options, onSend: (id, event) => this.onSend?.(id, event) }
  }

  /** False if the session was deleted, was never opened, or its import is incomplete. */
  get isOpened(): boolean {
    return this.#opened !== undefined && this.importedRows === undefined
  }

  /** The epoch, if one has begun. */
  get currentEpoch(): EpochId | undefined {
    return this.#opened?.epochId
  }

  /** Identity of the completion order. Raises `internal` before the session is opened. */
  get epochId(): EpochId {
    return this.#state.epochId
  }

  /** The registry's charts and records. Raises `internal` before the session is opened. */
  get core(): OperationsCore {
    return this.#state.core
  }

  /** The registry's records. Raises `internal` before the session is opened. */
  get records(): OperationRecords {
    return this.#state.core.records
  }

  /** Starts an empty epoch. */
  open(epochId: EpochId, { maxCompleted, maxConcurrent }: Limits): void {
    this.close()
    const limits: RegistryLimits = {
      ...(maxCompleted !== undefined && { maxCompleted }),
      ...(typeof maxConcurrent === 'number' && { maxConcurrent }),
    }
    this.#opened = { core: new OperationsCore({ ...this.#options, ...limits }), epochId }
  }

  /** Stops the actors and drops the whole state. */
  close(): void {
    this.#opened?.core.stop()
    this.#opened = undefined
    this.unfinished.clear()
    this.#claimed.clear()
    this.importedRows = undefined
  }

  /** Records the owner of a sequence. Raises `internal` if it has another owner or is below 1. */
  claim(sequence: number, id: OperationId): void {
    if (sequence < 1) throw internalError(`recovered operation ${id} carries sequence ${sequence}`)
    const minted = this.records.order.lastSequence
    if (sequence > minted) {
      throw internalError(
        `RecoverCompletionFeedEntry: sequence ${sequence} of operation ${id} is beyond the counter ${minted}`,
      )
    }
    const other = this.#claimed.get(sequence)
    if (other !== undefined && other !== id) {
      throw internalError(`sequence ${sequence} is claimed by ${other} and ${id}`)
    }
    this.#claimed.set(sequence, id)
  }

  /** Finishes a restore. Raises `internal` if the rows contradict each other as a whole. */
  finishRestore(): void {
    this.#claimed.clear()
    const feed = this.#opened?.core.records.order.feed
    if (feed !== undefined && this.isOpened && feed.droppedCount > 0 && feed.size === 0) {
      throw internalError('feed retention names dropped rows but no row is retained')
    }
  }

  get #state() {
    if (this.#opened === undefined) throw internalError('the session is not opened')
    return this.#opened
  }
}

interface Limits {
  readonly maxCompleted?: number | undefined
  readonly maxConcurrent?: number | null | undefined
}

/** Defines an event of a session. */
export const defineEvent = eventDefiner<SessionState, undefined>()

/** Defines a kind of snapshot row of a session. */
export const defineRow = rowDefiner<SessionState, undefined>()

/** A session was opened, with its limits. */
export const sessionOpened = defineEvent('session_opened', {
  fields: { epochId: uuid<EpochId>(), maxCompleted: count, maxConcurrent: v.nullable(count) },
  isNoted: true,
  begins: (state, { epochId }) => state.currentEpoch !== epochId,
  evolve: ({ tables }, { epochId, ...limits }) => tables.open(epochId, limits),
})

/** The limit on running operations was changed. */
export const sessionLimited = defineEvent('session_limited', {
  fields: { maxConcurrent: count },
  isNoted: true,
  evolve: ({ tables }, { maxConcurrent }) => tables.records.limitTo(maxConcurrent),
})

/** The session was deleted with everything in it. */
export const sessionDeleted = defineEvent('session_deleted', {
  fields: {},
  evolve: ({ tables }) => tables.close(),
})

/** The snapshot row of a session; there is one per session. */
export interface SessionRow {
  readonly epochId: EpochId
  readonly maxCompleted: number
  readonly maxConcurrent: number | null
  readonly cursors: CompletionCursors
  /** The sequence of the last durable end that is journalled. */
  readonly nextCompletionSeq: number
  /** The last sequence that retention has dropped from the feed. */
  readonly droppedThrough: number
  readonly droppedCount: number
}

/** The current snapshot row. Raises `internal` if the registry is broken, because it then differs from its journal. */
export function sessionRowOf({ core, epochId }: SessionState): SessionRow {
  core.check()
  const { maxConcurrent = null, order } = core.records
  const { maxCompleted, cursors, durableSequence, feed } = order
  const { droppedThrough, droppedCount } = feed
  return {
    epochId,
    maxCompleted,
    maxConcurrent,
    cursors: { ...cursors },
    // Not the last assigned sequence: its end may be in progress, and would be journalled after this snapshot.
    nextCompletionSeq: durableSequence,
    droppedThrough,
    droppedCount,
  }
}

/** Starts the epoch described by a row. Raises `internal` for impossible retention counts. */
export function restoreSession(state: SessionState, row: SessionRow): void {
  const { importedRows } = state
  const { epochId, cursors, nextCompletionSeq, droppedThrough, droppedCount, ...limits } = row
  if (droppedCount > 0 !== droppedThrough > 0) throw internalError('feed retention counters contradict each other')
  if (droppedCount > droppedThrough) throw internalError('feed retention dropped more rows than sequences')
  state.open(epochId, limits)
  state.importedRows = importedRows
  const { records } = state
  records.order.raise(nextCompletionSeq)
  for (const [consumer, cursor] of Object.entries(cursors)) {
    records.order.advanceCursor(consumer as keyof CompletionCursors, cursor)
  }
  if (droppedCount > 0) records.order.restoreRetention({ droppedThrough, droppedCount })
}

/** The session row, which comes before everything in the session. */
export const sessionRow = defineRow('session', {
  fields: {
    epochId: uuid<EpochId>(),
    maxCompleted: count,
    maxConcurrent: v.nullable(count),
    cursors: v.strictObject({ agent_applied: count, runtime_observed: count, runtime_injected: count }),
    nextCompletionSeq: count,
    droppedThrough: count,
    droppedCount: count,
  },
  capture: (state) => (state.currentEpoch === undefined ? [] : [sessionRowOf(state)]),
  restore: ({ tables }, row) => restoreSession(tables, row),
})
