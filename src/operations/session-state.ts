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
 * The durable state of one session, and the events and the snapshot row that concern it as a whole. What an operation, a completion
 * or an import adds to it says `operation.ts`, `completion.ts` or `import.ts`.
 *
 * Live calls change the records through the registry's chart. Reading back changes them directly, and of what had not ended
 * it keeps no more than {@link SessionState.unfinished}: nothing here runs it any more.
 */
export class SessionState {
  /** Numbers of the events that wait until they are durable. */
  readonly sequence = new SequenceCounter()
  /** Registered but not ended: while reading back what may still end, afterwards what was lost. */
  readonly unfinished = new UnfinishedOperations()
  /** How many rows of an import there are so far, while it is not whole. */
  importedRows: number | undefined
  readonly #options: CoreOptions
  #opened: { readonly core: OperationsCore; readonly epochId: EpochId } | undefined
  /** Whose sequence is whose, while rows are put back. */
  readonly #claimed = new Map<number, OperationId>()

  /** Takes what somebody else sends to the actor of an operation. */
  onSend: CoreOptions['onSend']

  constructor(options: CoreOptions) {
    this.#options = { ...options, onSend: (id, event) => this.onSend?.(id, event) }
  }

  /** False for a session that was deleted, was never opened, or whose import is not whole. */
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

  /** Raises `internal` before the session is opened. */
  get records(): OperationRecords {
    return this.#state.core.records
  }

  /** Starts an epoch, with nothing in it. */
  open(epochId: EpochId, { maxCompleted, maxConcurrent }: Limits): void {
    this.close()
    const limits: RegistryLimits = {
      ...(maxCompleted !== undefined && { maxCompleted }),
      ...(typeof maxConcurrent === 'number' && { maxConcurrent }),
    }
    this.#opened = { core: new OperationsCore({ ...this.#options, ...limits }), epochId }
  }

  /** Forgets everything. */
  close(): void {
    this.#opened?.core.stop()
    this.#opened = undefined
    this.unfinished.clear()
    this.#claimed.clear()
    this.importedRows = undefined
  }

  /** Takes down whose sequence this is. Raises `internal` for a second owner, and for one that was never minted. */
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

  /** All rows have been put back. Raises `internal` when they contradict each other as a whole. */
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

/** Defines an event of the room. */
export const defineEvent = eventDefiner<SessionState, undefined>()

/** Defines a kind of snapshot row of the room. */
export const defineRow = rowDefiner<SessionState, undefined>()

/** A session begins, under limits that belong to it from then on. */
export const sessionOpened = defineEvent('session_opened', {
  fields: { epochId: uuid<EpochId>(), maxCompleted: count, maxConcurrent: v.nullable(count) },
  isNoted: true,
  begins: (state, { epochId }) => state.currentEpoch !== epochId,
  evolve: ({ tables }, { epochId, ...limits }) => tables.open(epochId, limits),
})

/** Another number of operations may run from now on. */
export const sessionLimited = defineEvent('session_limited', {
  fields: { maxConcurrent: count },
  isNoted: true,
  evolve: ({ tables }, { maxConcurrent }) => tables.records.limitTo(maxConcurrent),
})

/** The session is removed, with all that it held. */
export const sessionDeleted = defineEvent('session_deleted', {
  fields: {},
  evolve: ({ tables }) => tables.close(),
})

/** What there is once per session. */
export interface SessionRow {
  readonly epochId: EpochId
  readonly maxCompleted: number
  readonly maxConcurrent: number | null
  readonly cursors: CompletionCursors
  /** The last sequence of an end that leaves a trace and is durable. */
  readonly nextCompletionSeq: number
  /** What retention has dropped from the feed. */
  readonly droppedThrough: number
  readonly droppedCount: number
}

/** The session as it is now. Raises `internal` once its registry has broken: it differs from its journal. */
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
    // Not the last one minted: the end that has it may be under way, and is then journalled behind this snapshot.
    nextCompletionSeq: durableSequence,
    droppedThrough,
    droppedCount,
  }
}

/** Starts the epoch that a row tells of. Raises `internal` for counts of retention that cannot be. */
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

/** The session itself, before everything that belongs to it. */
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
