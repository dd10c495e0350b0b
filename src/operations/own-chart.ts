/** What the registry asks the chart of an operation, in the words of that chart. */

import type { Selection } from '../../machines/chart-table.js'
import { fastMachine } from '../../machines/fast-machine.js'
import { operationMachine, type OperationEvent } from '../../machines/operation.js'
import type { AdvanceEvent, EndEvent } from '../../machines/operation-registry.js'
import {
  operationActions,
  terminalStatusOf,
  type OperationAction,
  type OperationOutcome,
  type OperationSpec,
  type OperationStatus,
  type TerminalAction,
} from '../../machines/operation-vocabulary.js'

/** The chart of every operation. */
export const operationChart = fastMachine(operationMachine)

/** What the chart of an operation was asked, and what it answered: decided once, then followed. */
export interface Decided {
  readonly event: OperationEvent
  readonly selection: Selection
}

const terminalActions = Object.keys(terminalStatusOf) as readonly TerminalAction[]

/** Whether the chart lets an operation that stands so end so: what a journal says is held to the rules of live calls. */
export function canEnd({ id, kind, displayName }: OperationSpec, status: OperationStatus, outcome: OperationOutcome) {
  const context = { id, kind, displayName, peerReady: false, progressCount: 0, outcome: undefined }
  return terminalActions.some(
    (type) => operationChart.table.select({ value: status, context }, { type, outcome }).isTaken,
  )
}

/** What the events of the registry are called in the chart of the operation they name. */
const ownTypes = new Map(operationActions.map((action) => [`operation.${action}`, action]))

/** Events that carry nothing, each made once. */
const plainEvents = new Map(operationActions.map((type) => [type, Object.freeze({ type }) as OperationEvent]))

/** What an event of the registry is to the operation it names. */
export function ownEvent(event: AdvanceEvent | EndEvent): OperationEvent {
  const type = actionOf(event.type)
  if ('outcome' in event) return { type, outcome: event.outcome }
  return plainEvents.get(type) as OperationEvent
}

/** The action that an event of the registry asks for. */
export function actionOf(type: AdvanceEvent['type'] | EndEvent['type']): OperationAction {
  return ownTypes.get(type) as OperationAction
}
