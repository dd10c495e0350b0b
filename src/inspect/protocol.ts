import type { AnyEventObject, Snapshot } from 'xstate'

/** The release of `@statelyai/inspect` whose protocol this is; every event contains it. */
export const protocolVersion = '0.7.2'

/** The fields of every event of the protocol. */
export interface StatelyEventBase {
  readonly sessionId: string
  readonly rootId: string
  /** Epoch milliseconds, as text. */
  readonly createdAt: string
  /** Sequential number of the event, as text; the numbers of dropped events are left out. */
  readonly id: string
  readonly _version: string
}

/** Announces an actor. */
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

/** An actor has handled an event. */
export interface StatelySnapshotEvent extends StatelyEventBase {
  readonly type: '@xstate.snapshot'
  readonly event: AnyEventObject
  readonly snapshot: Snapshot<unknown>
}

/**
 * Type of the event that tells a viewer of a loss: `dropped` events have been lost since the last such notice, and
 * their ids are missing. It is shown as an event sent to the root of an actor, but no actor receives it.
 */
export const inspectionGapType = 'stateward.inspection_gap'

/** What is sent to a Stately inspector; compatible with the type of the same name in `@statelyai/inspect`. */
export type StatelyInspectionEvent = StatelyActorEvent | StatelyEventEvent | StatelySnapshotEvent
