import { unreachable } from '../base/errors.js'
import type { JsonObject } from '../base/json.js'
import type { LaneStream } from '../lane/types.js'
import type { OperationId, SessionId } from '../../machines/operation-vocabulary.js'
import { capturePersisted } from './capture.js'
import { kindClasses } from './classification.js'
import { OperationsCore, type CoreOptions } from './core.js'
import { internalError } from './errors.js'
import { decodeEvent, type OperationsEvent } from './events.js'
import type { RegistryLimits } from './records.js'
import { checkKind, recover, type LiveRemnant } from './recovery.js'
import type { EpochId, LostOperation } from './types.js'
import { joinRows, splitRows } from './snapshot-rows.js'
import { decodeSnapshot, encodeSnapshot, type WireOperationsSnapshot } from './wire.js'

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
  #snapshotRows: JsonObject[] = []
  /** Registered but not ended: while replaying what may still end, afterwards what was lost. */
  readonly #unfinished = new Map<OperationId, LiveRemnant>()
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

  /** Starts from a snapshot in the wire shape of spec operations 7.1. Raises `invalid_input` or `internal`; then nothing has changed. */
  import(snapshot: unknown): void {
    const persisted = decodeSnapshot(snapshot)
    const { maxCompleted, maxConcurrent } = persisted
    const limits = { maxCompleted, ...(maxConcurrent !== null && { maxConcurrent }) }
    const core = new OperationsCore({ ...this.#options, ...limits })
    let live: LiveRemnant[]
    try {
      live = recover(persisted, core.records)
    } catch (fault) {
      core.stop()
      throw fault
    }
    this.#opened?.core.stop()
    this.#unfinished.clear()
    for (const remnant of live) this.#unfinished.set(remnant.spec.id, remnant)
    this.#opened = { core, epochId: persisted.epochId }
  }

  /** Forgets operations that were reported as lost; returns those that were. */
  forgetLost(ids: readonly OperationId[]): OperationId[] {
    return ids.filter((id) => this.#unfinished.delete(id))
  }

  restore(row: JsonObject): void {
    this.#snapshotRows.push(row)
  }

  replay(stored: JsonObject): void {
    this.finishRestore()
    this.#apply(decodeEvent(stored))
  }

  /** Takes over the snapshot rows restored so far. Raises `invalid_input` or `internal` for rows that contradict each other. */
  finishRestore(): void {
    if (this.#snapshotRows.length === 0) return
    this.import(joinRows(this.#snapshotRows))
    this.#snapshotRows = []
  }

  /** Raises `internal` for corrupt facts and for a poisoned registry. */
  capture(): Iterable<JsonObject> {
    return this.#opened === undefined ? [] : splitRows(this.#encode())
  }

  /** The session in the wire shape, unfinished operations included. */
  exported(): JsonObject {
    return this.#encode()
  }

  #encode(): WireOperationsSnapshot {
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
    return encodeSnapshot({ ...persisted, operations, specs })
  }

  get #state() {
    if (this.#opened === undefined) throw internalError(`${this.name} is not opened`)
    return this.#opened
  }

  #apply(event: OperationsEvent): void {
    switch (event.type) {
      case 'session_opened': {
        const { epoch_id: epochId, max_completed: maxCompleted, max_concurrent: maxConcurrent } = event
        if (this.#opened?.epochId === epochId) return
        return this.open(epochId as EpochId, { maxCompleted, ...(maxConcurrent !== null && { maxConcurrent }) })
      }
      case 'session_limited':
        return this.core.records.limitTo(event.max_concurrent)
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
    const {
      id,
      seq,
      outcome,
      peer_ready: peerReady,
      progress_count: progressCount,
      completed_at_ms: completedAtMs,
    } = event
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
