import type { JsonObject } from '../base/json.js'
import { Catalogue, type EventOf } from '../state/catalogue.js'
import { DirectDraft } from '../state/draft.js'
import { EventLog, type NumberedEvent } from '../state/log.js'
import { inGroups } from '../state/row-parts.js'
import type { OperationId, OperationSpec, SessionId } from '../../machines/operation-vocabulary.js'
import { completionRow, cursorAdvanced } from './completion.js'
import type { CoreOptions, OperationsCore } from './core.js'
import { documentOf, restoreDocument } from './export.js'
import { importBegun, importedRows, importRow, rowsImported, sessionImported } from './import.js'
import {
  lostForgotten,
  operationEnded,
  operationRegistered,
  operationRow,
  operationsCollected,
  operationStarted,
} from './operation.js'
import { sessionDeleted, sessionLimited, sessionOpened, sessionRow, SessionState } from './session-state.js'
import type { RegistryLimits } from './limits.js'
import type { EpochId, LostOperation } from './types.js'
import type { UnfinishedOperation } from './unfinished.js'
import { decodeValue } from '../work/values.js'

const namePrefix = 'operations/'

/** Name of the stream that holds the operations of a session. */
export function streamNameOf(sessionId: SessionId): string {
  return namePrefix + sessionId
}

/** The session a stream belongs to, if it is one of operations. */
export function sessionOfStream(name: string): SessionId | undefined {
  return name.startsWith(namePrefix) ? (name.slice(namePrefix.length) as SessionId) : undefined
}

const events = [
  sessionOpened,
  sessionLimited,
  sessionDeleted,
  importBegun,
  rowsImported,
  sessionImported,
  operationRegistered,
  operationStarted,
  operationEnded,
  operationsCollected,
  lostForgotten,
  cursorAdvanced,
] as const

/** Everything that can happen to a session and becomes durable. */
export type OperationsEvent = EventOf<(typeof events)[number]>

const catalogue = new Catalogue<SessionState, undefined, OperationsEvent, never>({
  subject: 'operations',
  events,
  rows: [importRow, sessionRow, operationRow, completionRow],
})

/** A step of an import: its events, and what follows from them. */
export interface ImportStep {
  readonly events: readonly NumberedEvent<OperationsEvent>[]
  readonly apply: () => void
}

/** The durable side of one session: its log, and the state that the log is read back into. */
export class OperationsHistory extends EventLog<SessionState, undefined, OperationsEvent> {
  readonly state: SessionState
  readonly #options: CoreOptions

  constructor(sessionId: SessionId, options: CoreOptions) {
    const state = new SessionState({ ...options, owner: sessionId })
    super({ name: streamNameOf(sessionId), catalogue, tables: state, view: undefined })
    this.state = state
    this.#options = options
  }

  /** False for a session that was deleted, was never opened, or whose import broke off. */
  get isOpened(): boolean {
    return this.state.isOpened
  }

  /** The registry's charts and records. Raises `internal` before the session is opened. */
  get core(): OperationsCore {
    return this.state.core
  }

  /** Identity of the completion order. Raises `internal` before the session is opened. */
  get epochId(): EpochId {
    return this.state.epochId
  }

  /** Operations without an end when the journal had been read back. */
  get lost(): readonly LostOperation[] {
    return this.state.unfinished.lost.map(lostOperation)
  }

  /** Lost operations by id. */
  lostSpec(id: OperationId): OperationSpec | undefined {
    return this.state.unfinished.get(id)?.spec
  }

  /**
   * Takes back into the records what an earlier process has not ended although one above it has ended, so that it can end
   * now; returns what it took.
   */
  reviveOwed(): OperationId[] {
    const { unfinished, records } = this.state
    return unfinished.owed.map(({ spec, status }) => {
      unfinished.delete(spec.id)
      records.revive(spec, status)
      return spec.id
    })
  }

  /** Starts an epoch with nothing in it; {@link OperationsHistory.noteOpened} writes that down. */
  open(epochId: EpochId, limits: RegistryLimits): void {
    this.state.open(epochId, limits)
  }

  /** Notes the epoch that has been started. */
  noteOpened(): void {
    const { epochId, records } = this.state
    const { maxConcurrent = null, order } = records
    const { maxCompleted } = order
    this.note((sequence) => sessionOpened.create(sequence, { epochId, maxCompleted, maxConcurrent }))
  }

  /**
   * The steps by which this history, which is empty, becomes the session of an exported document (O-108); each is small enough for
   * one append. Raises `invalid_input` or `internal` for a document that is refused; then there are none.
   */
  importOf(document: unknown): readonly ImportStep[] {
    const rows = this.#rowsOf(document)
    const groups = inGroups(rows)
    const draft = new DirectDraft<SessionState, undefined>(this.state, undefined)
    return groups.map((group, index) => {
      const step: NumberedEvent<OperationsEvent>[] = [(sequence) => rowsImported.create(sequence, { rows: group })]
      if (index === 0) step.unshift((sequence) => importBegun.create(sequence, {}))
      if (index === groups.length - 1) {
        step.push((sequence) => sessionImported.create(sequence, { rows: rows.length }))
      }
      return { events: step, apply: () => step.forEach((event) => catalogue.evolve(draft, event(1))) }
    })
  }

  /** Forgets operations that were reported as lost; returns those that were. */
  forgetLost<Id extends string>(ids: readonly Id[]): Id[] {
    return ids.filter((id) => this.state.unfinished.delete(id as never))
  }

  /** Also raises `internal` for rows that contradict each other. */
  override finishRestore(): void {
    super.finishRestore()
    this.state.finishRestore()
  }

  /** Raises `internal` for corrupt facts and for a poisoned registry. */
  override capture(): Iterable<JsonObject> {
    const { currentEpoch, importedRows: underWay } = this.state
    return currentEpoch === undefined && underWay === undefined ? [] : super.capture()
  }

  /** The session in the exchange format (O-108), unfinished operations included. */
  exported(): JsonObject {
    return documentOf(this.state)
  }

  #rowsOf(document: unknown): JsonObject[] {
    const { inspect: _, ...options } = this.#options
    const scratch = new SessionState(options)
    try {
      restoreDocument(scratch, document)
      return importedRows.flatMap((definition) => [...definition.capture(scratch).encoded()])
    } finally {
      scratch.close()
    }
  }
}

function lostOperation({ spec, status, startedAtMs }: UnfinishedOperation): LostOperation {
  const { id, kind, displayName, sourceLabel, parentId, input } = spec
  return {
    id,
    kind,
    displayName,
    sourceLabel,
    status: status === 'provisioning' ? 'provisioning' : 'running',
    ...(startedAtMs !== undefined && { startedAtMs }),
    ...(parentId !== undefined && { parentId }),
    ...(input !== undefined && { input: decodeValue(input) }),
  }
}
