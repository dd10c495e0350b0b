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

/** The name of the stream that holds the operations of a session. */
export function streamNameOf(sessionId: SessionId): string {
  return namePrefix + sessionId
}

/** The session of a stream; `undefined` if the stream does not hold operations. */
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

/** All durable events of a session. */
export type OperationsEvent = EventOf<(typeof events)[number]>

const catalogue = new Catalogue<SessionState, undefined, OperationsEvent, never>({
  subject: 'operations',
  events,
  rows: [importRow, sessionRow, operationRow, completionRow],
})

/** A step of an import: its events, and the function that applies it. */
export interface ImportStep {
  readonly events: readonly NumberedEvent<OperationsEvent>[]
  readonly apply: () => void
}

/** The durable side of one session: its log, and the state that is recovered from it. */
export class OperationsHistory extends EventLog<SessionState, undefined, OperationsEvent> {
  readonly state: SessionState
  readonly #options: CoreOptions

  constructor(sessionId: SessionId, options: CoreOptions) {
    const state = new SessionState({ ...options, owner: sessionId })
    super({ name: streamNameOf(sessionId), catalogue, tables: state, view: undefined })
    this.state = state
    this.#options = options
  }

  /** False if the session was deleted, was never opened, or its import is incomplete. */
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

  /** Operations that had no end when the journal was recovered. */
  get lost(): readonly LostOperation[] {
    return this.state.unfinished.lost.map(lostOperation)
  }

  /** The spec of a lost operation. */
  lostSpec(id: OperationId): OperationSpec | undefined {
    return this.state.unfinished.get(id)?.spec
  }

  /**
   * Restores operations that an earlier process did not end although an operation above them had ended, so that they
   * can be ended now. Returns their ids.
   */
  reviveOwed(): OperationId[] {
    const { unfinished, records } = this.state
    return unfinished.owed.map(({ spec, status }) => {
      unfinished.delete(spec.id)
      records.revive(spec, status)
      return spec.id
    })
  }

  /** Starts an empty epoch; {@link OperationsHistory.noteOpened} journals it. */
  open(epochId: EpochId, limits: RegistryLimits): void {
    this.state.open(epochId, limits)
  }

  /** Journals the epoch that has been started. */
  noteOpened(): void {
    const { epochId, records } = this.state
    const { maxConcurrent = null, order } = records
    const { maxCompleted } = order
    this.note((sequence) => sessionOpened.create(sequence, { epochId, maxCompleted, maxConcurrent }))
  }

  /**
   * Returns the steps that turn this empty history into the session of an exported document (O-108). Each step fits one
   * journal append. Raises `invalid_input` or `internal` for a refused document; then there are no steps.
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

  /** Removes an operation from the lost ones; false if it was not lost. */
  forgetLost(id: OperationId): boolean {
    return this.state.unfinished.delete(id)
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

  /** The session as an exported document (O-108), including unfinished operations. */
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
