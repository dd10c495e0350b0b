import type {
  ActorRefLike,
  AnyActorRef,
  AnyEventObject,
  AnyStateMachine,
  InspectionEvent,
  Snapshot,
  StateValue,
} from 'xstate'
import { nameOfActor, parentOf, type InspectedActor } from '../conversion.js'
import { read } from '../plain.js'
import { isSampled, operationOfEvent, operationOfSnapshot } from '../sampling.js'
import { innermostStates } from './chart-graph.js'
import type { InspectionStream } from './inspection-stream.js'
import type { MachineTable } from './machine-table.js'
import type { ItemRef, ShownEvent } from './protocol.js'
import type { ShownValues } from './shown-values.js'

/** How actors are shown. */
export interface ActorEventsOptions {
  readonly stream: InspectionStream
  readonly machines: MachineTable
  readonly shown: ShownValues
  /** The fraction of operations that are shown. */
  readonly sample: number
  /** Called with the item of an actor that has changed. */
  readonly onMoved: (item: ItemRef) => void
}

/** What is known of an announced actor. */
interface Known {
  readonly id: string
  readonly machine: AnyStateMachine | undefined
  readonly item: ItemRef | undefined
  /** The state value of the last snapshot, and the state ids it stands for. */
  value: unknown
  states: readonly string[]
}

/** The maximum number of nested events in flight that are remembered. */
const mostSent = 64

const typeOnly: ReadonlySet<string> = new Set(['type'])
const noStates: readonly string[] = []

/** Turns XState's inspection events into entries of a stream. */
export class ActorEvents {
  readonly #options: ActorEventsOptions
  #known = new WeakMap<ActorRefLike, Known>()
  readonly #hidden = new WeakSet<ActorRefLike>()
  /** Events that actors have sent and that have not been handled yet, in order. */
  readonly #sent: { readonly event: AnyEventObject; readonly source: ActorRefLike }[] = []

  constructor(options: ActorEventsOptions) {
    this.#options = options
  }

  /** Takes the next inspection event. */
  readonly take = (event: InspectionEvent): void => {
    const { actorRef } = event
    if (this.#hidden.has(actorRef)) return
    switch (event.type) {
      case '@xstate.event': {
        const { sourceRef } = event
        if (event.event.type === 'request.refused') return this.#refused(actorRef, event.event)
        if (sourceRef === undefined) return
        if (this.#sent.length === mostSent) this.#sent.shift()
        this.#sent.push({ event: event.event, source: sourceRef })
        return
      }
      case '@xstate.snapshot':
        return this.#moved(actorRef as InspectedActor, event.event, event.snapshot)
      default:
        return
    }
  }

  /** Announces a running actor, with its ancestors. */
  introduce(actor: AnyActorRef): void {
    const shown = actor as unknown as InspectedActor
    if (!this.#hidden.has(shown)) this.#introduced(shown, actor.getSnapshot() as Snapshot<unknown>)
  }

  /** Forgets all actors, so that each is announced again. */
  forget(): void {
    this.#known = new WeakMap()
  }

  #refused(actor: ActorRefLike, event: AnyEventObject): void {
    const { request, id, code, message } = event as Partial<Record<string, unknown>>
    if (typeof id === 'string' && !this.#isInSample(id)) return
    const known = this.#introduced(actor as InspectedActor, actor.getSnapshot() as Snapshot<unknown>)
    if (known === undefined) return
    const { shown, stream } = this.#options
    const reason = [code, message].filter((part) => typeof part === 'string').join(': ')
    stream.push({
      type: 'refused',
      actor: known.id,
      event: { type: String(request), ...(typeof id === 'string' && { data: { id } }) },
      reason: shown.text(reason),
    })
  }

  #moved(actor: InspectedActor, event: AnyEventObject, snapshot: Snapshot<unknown>): void {
    const source = this.#takeSource(event)
    if (source !== undefined && this.#hidden.has(source)) return
    const known = this.#introduced(actor, snapshot)
    if (known === undefined) return
    const { stream, onMoved } = this.#options
    if (event.type !== 'xstate.init') {
      if (this.#options.sample < 1) {
        const operation = operationOfEvent(event)
        if (operation !== undefined && !this.#isInSample(operation)) return
      }
      const states = this.#statesOf(known, snapshot)
      const context = this.#contextOf(snapshot)
      stream.push({
        type: 'transition',
        actor: known.id,
        event: this.#shownEvent(event),
        ...(source !== undefined && { source: source.sessionId }),
        states,
        ...(context !== undefined && { context }),
      })
    }
    if (snapshot.status !== 'active') {
      stream.push({ type: 'end', actor: known.id, status: snapshot.status })
      this.#known.delete(actor)
    }
    if (known.item !== undefined) onMoved(known.item)
  }

  /** The sender of an event. Events sent after it, which nobody has handled, are dropped. */
  #takeSource(event: AnyEventObject): ActorRefLike | undefined {
    for (let place = this.#sent.length - 1; place >= 0; place -= 1) {
      const sent = this.#sent[place]
      if (sent?.event !== event) continue
      this.#sent.length = place
      return sent.source
    }
    return undefined
  }

  /** What is known of an actor, which is announced first if needed; `undefined` for a hidden actor. */
  #introduced(actor: InspectedActor, snapshot: Snapshot<unknown>): Known | undefined {
    const known = this.#known.get(actor)
    if (known !== undefined) return known
    const operation = operationOfSnapshot(snapshot)
    if (operation !== undefined && !this.#isInSample(operation)) {
      this.#hidden.add(actor)
      return undefined
    }
    const parent = parentOf(actor)
    if (parent !== undefined) this.#introduced(parent, (parent as unknown as AnyActorRef).getSnapshot())
    const machine = machineOf(actor)
    const item = itemOf(actor, operation)
    const made: Known = { id: actor.sessionId, machine, item, value: undefined, states: noStates }
    this.#known.set(actor, made)
    const { stream, machines } = this.#options
    const chart = machine === undefined ? undefined : machines.idOf(machine)
    const context = this.#contextOf(snapshot)
    stream.push({
      type: 'actor',
      actor: made.id,
      name: nameOfActor(actor, snapshot),
      ...(chart !== undefined && { machine: chart }),
      ...(parent !== undefined && { parent: parent.sessionId }),
      ...(item !== undefined && { item }),
      states: this.#statesOf(made, snapshot),
      ...(context !== undefined && { context }),
    })
    return made
  }

  #statesOf(known: Known, snapshot: Snapshot<unknown>): readonly string[] {
    const value = read(snapshot, 'value')
    if (known.machine === undefined || value === undefined) return noStates
    if (value !== known.value) {
      known.value = value
      known.states = innermostStates(known.machine, value as StateValue)
    }
    return known.states
  }

  #contextOf(snapshot: Snapshot<unknown>) {
    const { shown } = this.#options
    return shown.areShown ? shown.content(read(snapshot, 'context')) : undefined
  }

  #shownEvent(event: AnyEventObject): ShownEvent {
    const { shown } = this.#options
    const type = read(event, 'type')
    const text = typeof type === 'string' ? type.slice(0, 1000) : 'unreadable'
    return shown.areShown ? { type: text, data: shown.fields(event, typeOnly) } : { type: text }
  }

  #isInSample(operation: string): boolean {
    const { sample } = this.#options
    return sample === 1 || isSampled(operation, sample)
  }
}

function machineOf({ logic }: InspectedActor): AnyStateMachine | undefined {
  return read(logic, 'root') !== undefined && read(logic, 'config') !== undefined
    ? (logic as unknown as AnyStateMachine)
    : undefined
}

/** The item that an actor represents; registries and jobs are named after their items. */
function itemOf(actor: InspectedActor, operation: string | undefined): ItemRef | undefined {
  if (actor.id.startsWith('job ')) return { type: 'job', id: actor.id.slice('job '.length) }
  const registry = parentOf(actor)?.id ?? ''
  if (operation === undefined || !registry.startsWith(registryName)) return undefined
  return { type: 'operation', id: operation, session: registry.slice(registryName.length) }
}

const registryName = 'operation-registry '
