import type { ActorRefLike, AnyEventObject, InspectedEventEvent, InspectedSnapshotEvent, Snapshot } from 'xstate'
import { isObject, read, toPlain, unreadable, type PlainLimits } from './plain.js'
import {
  inspectionGapType,
  protocolVersion,
  type StatelyActorEvent,
  type StatelyEventBase,
  type StatelyEventEvent,
  type StatelySnapshotEvent,
} from './protocol.js'

/** The fields of an actor that an inspector reads. */
export interface InspectedActor extends ActorRefLike {
  readonly id: string
  readonly _parent?: InspectedActor
  readonly logic?: { readonly config?: unknown }
}

/** The parent of an actor, which started it. */
export function parentOf({ _parent: parent }: InspectedActor): InspectedActor | undefined {
  return parent
}

/** The stamp of an event: what is known of it besides its content. */
export interface Stamp {
  /** Sequential number. */
  readonly id: number
  /** Epoch milliseconds. */
  readonly at: number
}

/** Charts are shown whole: the limits are far beyond a chart that a person can read. */
const definitionLimits: PlainLimits = { depth: 50, entries: 10_000, characters: 10_000, values: 100_000 }

const definitions = new WeakMap<object, string>()

/** Announces an actor, with a snapshot of it. */
export function toActorEvent(
  actor: InspectedActor,
  rootId: string,
  snapshot: Snapshot<unknown>,
  stamp: Stamp,
): StatelyActorEvent {
  const name = nameOfActor(actor, snapshot)
  return {
    type: '@xstate.actor',
    ...baseOf(actor, rootId, stamp),
    name,
    parentId: parentOf(actor)?.sessionId,
    definition: definitionOf(actor) ?? JSON.stringify({ id: name }),
    snapshot: plainSnapshot(snapshot),
  }
}

/** Reports an event that was sent to an actor. */
export function toEventEvent(
  { actorRef, rootId, event, sourceRef }: InspectedEventEvent,
  stamp: Stamp,
): StatelyEventEvent {
  return {
    type: '@xstate.event',
    ...baseOf(actorRef, rootId, stamp),
    event: plainEvent(event),
    sourceId: sourceRef?.sessionId,
  }
}

/** Reports the snapshot of an actor after an event. */
export function toSnapshotEvent(
  { actorRef, rootId, event, snapshot }: InspectedSnapshotEvent,
  stamp: Stamp,
): StatelySnapshotEvent {
  return {
    type: '@xstate.snapshot',
    ...baseOf(actorRef, rootId, stamp),
    event: plainEvent(event),
    snapshot: plainSnapshot(snapshot),
  }
}

/**
 * Reports events that the viewer will not get, as an event of an actor: the only form that every viewer is sure to
 * show.
 */
export function toGapEvent(root: InspectedActor, rootId: string, dropped: number, stamp: Stamp): StatelyEventEvent {
  return {
    type: '@xstate.event',
    ...baseOf(root, rootId, stamp),
    event: { type: inspectionGapType, dropped },
    sourceId: undefined,
  }
}

function baseOf({ sessionId }: ActorRefLike, rootId: string, { id, at }: Stamp): StatelyEventBase {
  return { sessionId, rootId, createdAt: String(Math.trunc(at)), id: String(id), _version: protocolVersion }
}

/** The name to display for an actor: an operation's display name, else its id, else the id of its chart. */
export function nameOfActor(actor: InspectedActor, snapshot: Snapshot<unknown>): string {
  const displayName = read(read(snapshot, 'context'), 'displayName')
  if (typeof displayName === 'string' && displayName !== '') return displayName
  if (actor.id !== actor.sessionId) return actor.id
  const config = actor.logic?.config as { readonly id?: unknown } | undefined
  return typeof config?.id === 'string' ? config.id : actor.id
}

/** The chart as JSON text, cached per machine. */
function definitionOf({ logic }: InspectedActor): string | undefined {
  const config = logic?.config
  if (typeof config !== 'object' || config === null) return undefined
  const known = definitions.get(config)
  if (known !== undefined) return known
  const definition = JSON.stringify(toPlain(config, definitionLimits))
  definitions.set(config, definition)
  return definition
}

/** An event keeps its type in any case: if it is an instance of a class, or was cut at the limits. */
function plainEvent(event: AnyEventObject): AnyEventObject {
  const plain = toPlain(event)
  const type = read(event, 'type')
  return { ...(isRecord(plain) ? plain : { value: plain }), type: typeof type === 'string' ? type : unreadable }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return isObject(value) && !Array.isArray(value)
}

const shownOfSnapshot = ['status', 'value', 'context', 'output', 'error', 'children']

/** The parts of a snapshot that an inspector shows, without others such as the machine itself. */
function plainSnapshot(snapshot: Snapshot<unknown>): Snapshot<unknown> {
  const shown: Record<string, unknown> = {}
  for (const key of shownOfSnapshot) shown[key] = read(snapshot, key, unreadable)
  return toPlain(shown) as unknown as Snapshot<unknown>
}
