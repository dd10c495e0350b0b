import { InvalidInputError, unreachable } from '../base/errors.js'
import type { JsonObject } from '../base/json.js'
import type { LaneStream } from '../lane/types.js'
import { Draft } from '../state/draft.js'
import { captureRows, SnapshotReader } from '../state/snapshot.js'
import type { OperationId, SessionId } from '../../machines/operation-vocabulary.js'
import { kindClasses } from './classification.js'
import { OperationsCore, type CoreOptions } from './core.js'
import { internalError } from './errors.js'
import { decodeEvent, type OperationsEvent } from './events.js'
import type { RegistryLimits } from './records.js'
import { checkKind, recover, type InterruptedOperation } from './recovery.js'
import type { EpochId, LostOperation } from './types.js'
import { capturePersisted, SnapshotState, snapshotRows } from './snapshot.js'
import { decodeSnapshot, encodeSnapshot, type PersistedOperations } from './wire.js'

const namePrefix = 'operations/'

/** Name of the stream that holds the operations of a session. */
export function streamNameOf(sessionId: SessionId): string {
  return namePrefix + sessionId
}

/** The session a stream belongs to, if it is one of operations. */
export function sessionOfStream(name: string): SessionId | undefined {
  return name.startsWith(namePrefix) ? (name.slice(namePrefix.length) as SessionId) : undefined
}

/**
 * The durable side of one session: turns journalled events back into a registry at opening and hands
 * the lane its rows for snapshots.
 */
export class OperationsHistory implements LaneStream {
  readonly name: string
  readonly #options: CoreOptions
  #opened: { readonly core: OperationsCore; readonly epochId: EpochId } | undefined
  /** The snapshot that is being read, until it has been read to its end. */
  #restoring: Restoring | undefined
  /** Registered but not ended: while replaying what may still end, afterwards what was lost. */
  readonly #unfinished = new Map<OperationId, InterruptedOperation>()
  /** Takes what somebody else sends to the actor of an operation. */
  onSend: CoreOptions['onSend']

  constructor(sessionId: SessionId, options: CoreOptions) {
    this.name = streamNameOf(sessionId)
    this.#options = { ...options, owner: sessionId, onSend: (id, event) => this.onSend?.(id, event) }
  }

  /** False for a session that was deleted, or never opened. */
  get isOpened(): boolean {
    return this.#opened !== undefined
  }

  /** The registry's charts and records. Raises `internal` before the session is opened. */
  get core(): OperationsCore {
    return this.#state.core
  }

  /** Identity of the completion order. Raises `internal` before the session is opened. */
  get epochId(): EpochId {
    return this.#state.epochId
  }

  /** Operations without an end when replay was over. */
  get lost(): readonly LostOperation[] {
    return [...this.#unfinished.values()].map(({ spec, status }) => ({
      id: spec.id,
      kind: spec.kind,
      displayName: spec.displayName,
      sourceLabel: spec.sourceLabel,
      status: status === 'provisioning' ? 'provisioning' : 'running',
    }))
  }

  /** Starts an epoch, empty or from an exported snapshot. */
  open(epochId: EpochId, limits: RegistryLimits): void {
    this.#opened?.core.stop()
    this.#unfinished.clear()
    this.#opened = { core: new OperationsCore({ ...this.#options, ...limits }), epochId }
  }

  /** Starts from a document in the exchange format (O-108). Raises `invalid_input` or `internal`; then nothing has changed. */
  import(document: unknown): void {
    this.#recover(decodeSnapshot(document))
  }

  /** Forgets operations that were reported as lost; returns those that were. */
  forgetLost(ids: readonly OperationId[]): OperationId[] {
    return ids.filter((id) => this.#unfinished.delete(id))
  }

  restore(row: JsonObject): void {
    this.#restoring ??= new Restoring(this.name)
    this.#restoring.take(row)
  }

  replay(stored: JsonObject): void {
    this.finishRestore()
    this.#apply(decodeEvent(stored))
  }

  /**
   * Takes over the snapshot rows restored so far. Raises `snapshot_incomplete` when some are missing, and `internal` for
   * rows that contradict each other.
   */
  finishRestore(): void {
    const restored = this.#restoring?.finish()
    this.#restoring = undefined
    if (restored !== undefined) this.#recover(restored)
  }

  /** Raises `internal` for corrupt facts and for a poisoned registry. */
  capture(): Iterable<JsonObject> {
    if (this.#opened === undefined) return []
    const persisted = this.#capture()
    return captureRows<PersistedOperations, undefined>(persisted, snapshotRows, { sequence: persisted.nextCompletionSeq, notes: 0 })
  }

  /** The session in the exchange format (O-108), unfinished operations included. */
  exported(): JsonObject {
    return encodeSnapshot(this.#capture())
  }

  #capture(): PersistedOperations {
    const { core, epochId } = this.#state
    // A registry that broke half-way differs from its journal: better no snapshot than one that loses what is there.
    core.check()
    const persisted = capturePersisted(epochId, core.records)
    const operations = new Map(persisted.operations)
    const specs = new Map(persisted.specs)
    for (const [id, { spec, status }] of this.#unfinished) {
      if (operations.has(id)) continue
      const source = spec.operationSource ?? null
      operations.set(id, { status, kind: spec.kind, source, peerReady: false, progressCount: 0, outcome: null })
      specs.set(id, spec)
    }
    return { ...persisted, operations, specs }
  }

  #recover(persisted: PersistedOperations): void {
    const { maxCompleted, maxConcurrent } = persisted
    const limits = { maxCompleted, ...(maxConcurrent !== null && { maxConcurrent }) }
    const core = new OperationsCore({ ...this.#options, ...limits })
    let interrupted: InterruptedOperation[]
    try {
      interrupted = recover(persisted, core.records)
    } catch (fault) {
      core.stop()
      throw fault
    }
    this.#opened?.core.stop()
    this.#unfinished.clear()
    for (const operation of interrupted) this.#unfinished.set(operation.spec.id, operation)
    this.#opened = { core, epochId: persisted.epochId }
  }

  get #state() {
    if (this.#opened === undefined) throw internalError(`${this.name} is not opened`)
    return this.#opened
  }

  #apply(event: OperationsEvent): void {
    switch (event.type) {
      case 'session_opened': {
        const { epochId, maxCompleted, maxConcurrent } = event
        if (this.#opened?.epochId === epochId) return
        return this.open(epochId, { maxCompleted, ...(maxConcurrent !== null && { maxConcurrent }) })
      }
      case 'session_limited':
        return this.core.records.limitTo(event.maxConcurrent)
      case 'session_imported':
        return this.import(event.snapshot)
      case 'session_deleted':
        this.#opened?.core.stop()
        this.#opened = undefined
        return this.#unfinished.clear()
      case 'operation_registered':
        this.#unfinished.set(event.spec.id, { spec: event.spec, status: 'provisioning' })
        return
      case 'operation_started': {
        const unfinished = this.#unfinished.get(event.id)
        if (unfinished !== undefined) this.#unfinished.set(event.id, { ...unfinished, status: 'running' })
        return
      }
      case 'operation_ended':
        return this.#end(event)
      case 'records_collected':
        return this.core.records.drop(event.ids)
      case 'lost_forgotten':
        this.forgetLost(event.ids)
        return
      case 'cursor_advanced':
        return this.core.records.advanceCursor(event.consumer, event.cursor)
      default:
        return unreachable(event, 'operations event')
    }
  }

  #end(event: Extract<OperationsEvent, { type: 'operation_ended' }>): void {
    const { records } = this.core
    const { id, seq, outcome, peerReady, progressCount, completedAtMs } = event
    const unfinished = this.#unfinished.get(id)
    if (unfinished === undefined) throw internalError(`the journal ends operation ${id}, which it never registered`)
    const { spec } = unfinished
    checkKind(id, spec.kind, { peerReady, outcome })
    if (seq <= records.lastSequence) throw internalError(`sequence ${seq} of operation ${id} is claimed already`)
    if (!records.canEnd(unfinished.spec, unfinished.status, outcome)) {
      throw internalError(`the journal ends operation ${id} as ${outcome.type} while it is ${unfinished.status}`)
    }
    this.#unfinished.delete(id)
    const source = spec.operationSource
    records.restore({ spec, source, peerReady, progressCount, outcome, sequence: seq })
    if (kindClasses[spec.kind].feed === 'suppress') return
    records.publish({ seq, operationId: id, kind: spec.kind, displayName: spec.displayName, outcome, completedAtMs })
  }
}

/** One snapshot on its way from its rows into a registry. */
class Restoring {
  readonly #state = new SnapshotState()
  readonly #draft = new Draft<PersistedOperations, undefined>(this.#state, undefined)
  readonly #reader: SnapshotReader<PersistedOperations, undefined>

  constructor(stream: string) {
    this.#reader = new SnapshotReader({ stream, rowOf, onHeader: () => {} })
  }

  take(row: JsonObject): void {
    this.#reader.take(this.#draft, row)
  }

  finish(): PersistedOperations {
    this.#reader.finish()
    return this.#state
  }
}

function rowOf(stored: JsonObject): (typeof snapshotRows)[number] {
  const found = snapshotRows.find(({ kind }) => kind === stored['row'])
  if (found !== undefined) return found
  const reason = `unknown snapshot row: ${JSON.stringify(stored['row'])}`
  throw new InvalidInputError({ subject: 'operations snapshot row', field: 'row', reason })
}
