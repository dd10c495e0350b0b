/** How the registry queries and drives the chart of a single operation. */

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

/**
 * An event for an operation's chart and the transition that the chart selected, so that it is decided once and then
 * followed.
 */
export interface Decided {
  readonly event: OperationEvent
  readonly selection: Selection
}

const terminalActions = Object.keys(terminalStatusOf) as readonly TerminalAction[]

/** Whether an operation in this status may end with this outcome. Journalled ends obey the rules of live calls. */
export function canEnd({ id, kind, displayName }: OperationSpec, status: OperationStatus, outcome: OperationOutcome) {
  const context = { id, kind, displayName, peerReady: false, progressCount: 0, outcome: undefined }
  return terminalActions.some(
    (type) => operationChart.table.select({ value: status, context }, { type, outcome }).isTaken,
  )
}

/** Maps the event types of the registry to those of the operation's chart. */
const ownTypes = new Map(operationActions.map((action) => [`operation.${action}`, action]))

/** Events without data, each created once. */
const plainEvents = new Map(operationActions.map((type) => [type, Object.freeze({ type }) as OperationEvent]))

/** Translates an event of the registry into an event of the operation's chart. */
export function ownEvent(event: AdvanceEvent | EndEvent): OperationEvent {
  const type = actionOf(event.type)
  if ('outcome' in event) return { type, outcome: event.outcome }
  return plainEvents.get(type) as OperationEvent
}

/** The action of a registry event. */
export function actionOf(type: AdvanceEvent['type'] | EndEvent['type']): OperationAction {
  return ownTypes.get(type) as OperationAction
}
