import type { ActorRefLike, AnyEventObject, InspectedEventEvent, InspectedSnapshotEvent, Snapshot } from 'xstate'
import { toPlain, type PlainLimits } from './plain.js'
import {
  protocolVersion,
  type StatelyActorEvent,
  type StatelyEventBase,
  type StatelyEventEvent,
  type StatelySnapshotEvent,
} from './protocol.js'

/** What an actor tells an inspector about itself. */
export interface InspectedActor extends ActorRefLike {
  readonly id: string
  readonly _parent?: InspectedActor
  readonly logic?: { readonly config?: unknown }
}

/** The actor that started this one. */
export function parentOf({ _parent: parent }: InspectedActor): InspectedActor | undefined {
  return parent
}

/** What is known of an event besides its content. */
export interface Stamp {
  /** Running number. */
  readonly number: number
  /** Epoch milliseconds. */
  readonly at: number
}

/** Charts are shown whole: far more than a chart that a person can read. */
const definitionLimits: PlainLimits = { depth: 50, entries: 10_000, characters: 10_000, values: 100_000 }

const definitions = new WeakMap<object, string>()

/** Introduces an actor by a snapshot of it. */
export function toActorEvent(
  actor: InspectedActor,
  rootId: string,
  snapshot: Snapshot<unknown>,
  stamp: Stamp,
): StatelyActorEvent {
  const name = nameOf(actor, snapshot)
  return {
    type: '@xstate.actor',
    ...baseOf(actor, rootId, stamp),
    name,
    parentId: parentOf(actor)?.sessionId,
    definition: definitionOf(actor) ?? JSON.stringify({ id: name }),
    snapshot: plainSnapshot(snapshot),
  }
}

/** Tells of an event that was sent to an actor. */
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

/** Tells what an event made of an actor. */
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

function baseOf({ sessionId }: ActorRefLike, rootId: string, { number, at }: Stamp): StatelyEventBase {
  return { sessionId, rootId, createdAt: String(Math.trunc(at)), id: String(number), _version: protocolVersion }
}

/** What people call the actor: an operation's display name, otherwise the id it was given, otherwise that of its chart. */
function nameOf(actor: InspectedActor, snapshot: Snapshot<unknown>): string {
  const { context } = snapshot as { readonly context?: { readonly displayName?: unknown } }
  const displayName = context?.displayName
  if (typeof displayName === 'string' && displayName !== '') return displayName
  if (actor.id !== actor.sessionId) return actor.id
  const config = actor.logic?.config as { readonly id?: unknown } | undefined
  return typeof config?.id === 'string' ? config.id : actor.id
}

/** The chart as JSON text, written once per machine. */
function definitionOf({ logic }: InspectedActor): string | undefined {
  const config = logic?.config
  if (typeof config !== 'object' || config === null) return undefined
  const known = definitions.get(config)
  if (known !== undefined) return known
  const definition = JSON.stringify(toPlain(config, definitionLimits))
  definitions.set(config, definition)
  return definition
}

function plainEvent(event: AnyEventObject): AnyEventObject {
  return toPlain(event) as unknown as AnyEventObject
}

/** The parts of a snapshot that an inspector shows; the rest, such as the machine itself, is left out. */
function plainSnapshot(snapshot: Snapshot<unknown>): Snapshot<unknown> {
  const { status, value, context, output, error, children } = snapshot as Readonly<Record<string, unknown>>
  return toPlain({ status, value, context, output, error, children }) as unknown as Snapshot<unknown>
}
