import type { AnyEventObject, Snapshot } from 'xstate'

/** The release of `@statelyai/inspect` whose protocol this is; every event carries it. */
export const protocolVersion = '0.7.2'

/** What every event of the protocol says. */
export interface StatelyEventBase {
  readonly sessionId: string
  readonly rootId: string
  /** Epoch milliseconds, as text. */
  readonly createdAt: string
  /** Running number of the event, as text; numbers are left out for events that were to be shown and were not. */
  readonly id: string
  readonly _version: string
}

/** Introduces an actor. */
export interface StatelyActorEvent extends StatelyEventBase {
  readonly type: '@xstate.actor'
  readonly name: string
  readonly parentId: string | undefined
  /** JSON text of the machine's config. */
  readonly definition: string | undefined
  readonly snapshot: Snapshot<unknown>
}

/** An event was sent to an actor. */
export interface StatelyEventEvent extends StatelyEventBase {
  readonly type: '@xstate.event'
  readonly event: AnyEventObject
  /** Session id of the actor that sent it; absent when it came from outside. */
  readonly sourceId: string | undefined
}

/** An actor has dealt with an event. */
export interface StatelySnapshotEvent extends StatelyEventBase {
  readonly type: '@xstate.snapshot'
  readonly event: AnyEventObject
  readonly snapshot: Snapshot<unknown>
}

/**
 * Type of the event that tells a viewer of loss: `dropped` events, whose ids are missing, were to be shown since
 * the last such notice and were not. It is shown as an event sent to the root of an actor, but no actor gets it.
 */
export const inspectionGapType = 'stateward.inspection_gap'

/** What travels to a Stately inspector; fits the type of the same name in `@statelyai/inspect`. */
export type StatelyInspectionEvent = StatelyActorEvent | StatelyEventEvent | StatelySnapshotEvent
