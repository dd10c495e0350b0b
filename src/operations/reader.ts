import type { AnyActorRef } from 'xstate'
import { InvalidInputError } from '../base/errors.js'
import type { Feed } from '../base/feed.js'
import { checkText, textOf } from '../base/options.js'
import {
  cursorConsumers,
  isTerminal,
  liveStatuses,
  operationActions,
  operationKinds,
  terminalStatuses,
  type CursorConsumer,
  type OperationAction,
  type OperationId,
  type OperationKind,
} from '../../machines/operation-vocabulary.js'
import { checkId } from './admission.js'
import {
  isIdempotentRepeat,
  kindClasses,
  publicResultOf,
  type CompletionWakeClass,
  type ObservedStatus,
  type PublicResultClass,
} from './classification.js'
import type { OperationsCore } from './core.js'
import type { OperationsHistory } from './history.js'
import type { OperationRecords } from './records.js'
import { checkKey, readStatus, snapshotOf } from './operation-row.js'
import type {
  CompletionEntry,
  EpochId,
  LostOperation,
  OperationSnapshot,
  PendingWait,
  RegistryDiagnostics,
} from './types.js'
import { documentOf, type WireOperationsSnapshot } from './export.js'

const observedStatuses: readonly ObservedStatus[] = ['absent', ...liveStatuses, ...terminalStatuses]

/**
 * The reading half of {@link OperationRegistry}. Every answer is checked and fails closed: corrupt facts and a poisoned
 * registry raise `internal` rather than look like nothing.
 */
export class OperationReader {
  readonly #history: OperationsHistory
  readonly #core: OperationsCore
  readonly #records: OperationRecords

  constructor(history: OperationsHistory) {
    this.#history = history
    this.#core = history.core
    this.#records = history.core.records
  }

  /** Identity of the completion order; survives restarts. */
  get epochId(): EpochId {
    return this.#history.epochId
  }

  /** Operations that were live when the previous process ended. */
  get lost(): readonly LostOperation[] {
    return this.#history.lost
  }

  /** True once a change failed half-way; every other call then raises `internal`. */
  get isPoisoned(): boolean {
    return this.#core.isPoisoned
  }

  /** Number of operations that have not ended. */
  get activeCount(): number {
    return this.#records.activeCount
  }

  /** The limit on running operations; unlimited if absent. */
  get maxConcurrent(): number | undefined {
    return this.#records.maxConcurrent
  }

  /**
   * The current state of an operation; `undefined` for an unknown id. Raises `invalid_input`, and `internal` for
   * corrupt facts.
   */
  snapshot(id: OperationId): OperationSnapshot | undefined {
    checkText('operation id', id)
    this.#core.check()
    const row = this.#records.rows.get(id)
    return row === undefined ? undefined : snapshotOf(id, row)
  }

  /** Every tracked operation, sorted by display name and then by creation. Raises `internal` for corrupt facts. */
  listOperations(): readonly OperationSnapshot[] {
    this.#core.check()
    const snapshots = [...this.#records.rows].map(([key, row]) => snapshotOf(checkKey(key), row))
    return snapshots.toSorted(byDisplayName)
  }

  /** The operations that have not ended, in creation order. Raises `internal` for corrupt facts. */
  liveIds(): readonly OperationId[] {
    this.#core.check()
    const ids: OperationId[] = []
    for (const [key, row] of this.#records.rows) {
      const id = checkKey(key)
      if (!isTerminal(readStatus(id, row))) ids.push(id)
    }
    return ids
  }

  /** Whether a status is final; the id need not exist. */
  classifyTerminality(_id: OperationId, status: ObservedStatus): 'terminal' | 'non_terminal' {
    checkMember('operation status', status, observedStatuses)
    return status !== 'absent' && isTerminal(status) ? 'terminal' : 'non_terminal'
  }

  /** Whether completions of this kind wake an idle runtime; the id need not exist. */
  classifyCompletionWake(_id: OperationId, kind: OperationKind): CompletionWakeClass {
    checkMember('operation kind', kind, operationKinds)
    return kindClasses[kind].wake
  }

  /** The public result of an operation; `missing_authority` for an unknown id. */
  classifyPublicResult(id: OperationId): PublicResultClass {
    return publicResultOf[this.#observedStatus(id)]
  }

  /** Whether an action refused with `invalid_transition` counts as already done (O-25). */
  classifyTransitionIdempotence(id: OperationId, action: OperationAction): 'idempotent' | 'not_idempotent' {
    checkMember('operation action', action, operationActions)
    return isIdempotentRepeat(this.#observedStatus(id), action) ? 'idempotent' : 'not_idempotent'
  }

  /** The completion feed; the returned handle outlives the registry. */
  completionFeed(): Feed<CompletionEntry> {
    this.#core.check()
    return this.#records.order.feed
  }

  /** The cursor of a consumer. Raises `invalid_input` for an unknown consumer. */
  completionCursor(consumer: CursorConsumer): number {
    this.#core.check()
    checkMember('cursor consumer', consumer, cursorConsumers)
    return this.#records.order.cursors[consumer]
  }

  /** The waits that are not satisfied yet, oldest first. */
  pendingWaits(): readonly PendingWait[] {
    return Array.from(this.#records.waits.active, ({ request }) => ({ ...request }))
  }

  /** The state of the registry for diagnosis. Raises `internal` for corrupt facts. */
  diagnostics(): RegistryDiagnostics {
    const { rows, activeCount, order } = this.#records
    const pendingWaits = this.pendingWaits()
    return {
      operations: this.listOperations(),
      operationCount: rows.size,
      activeCount,
      pendingWait: pendingWaits[0] ?? null,
      pendingWaits,
      cursors: { ...this.#records.order.cursors },
      watermark: order.feed.watermark(),
    }
  }

  /** The durable part of the registry as an exported document (O-108). Raises `internal` for corrupt facts. */
  capturePersistenceSnapshot(): WireOperationsSnapshot {
    this.#core.check()
    return documentOf(this.#history.state, { wait: this.#records.waits.oldest?.request, withoutLost: true })
  }

  /**
   * True if an operation above this one has ended, or is ending: this one will be ended, and nothing starts below it.
   */
  isTreeClosed(id: OperationId): boolean {
    checkId(id)
    this.#core.check()
    return this.#records.isBelowEnded(id)
  }

  /** True if nothing can be registered with this id. Raises `invalid_input`. */
  isUsed(id: OperationId): boolean {
    checkId(id)
    return this.#records.isUsed(id)
  }

  /** @internal The actor of an operation, created when it is first inspected. */
  actorOf(id: OperationId): AnyActorRef | undefined {
    return this.#records.rows.get(id)?.actor as AnyActorRef | undefined
  }

  #observedStatus(id: OperationId): ObservedStatus {
    checkText('operation id', id)
    this.#core.check()
    const row = this.#records.rows.get(id)
    return row === undefined ? 'absent' : readStatus(id, row)
  }
}

function checkMember<Member>(subject: string, value: Member, members: readonly Member[]): void {
  if (members.includes(value)) return
  const reason = `not one of ${members.join(', ')}: ${textOf(value)}`
  throw new InvalidInputError({ subject, field: '$', reason })
}

function byDisplayName(one: OperationSnapshot, other: OperationSnapshot): number {
  return compare(one.displayName, other.displayName) || compare(one.id, other.id)
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0
}
