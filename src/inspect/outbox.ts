import { faultFields } from '../base/error-details.js'
import type { ActorRefLike, InspectedEventEvent, InspectedSnapshotEvent, Snapshot } from 'xstate'
import type { Clock } from '../base/clock.js'
import type { Logger } from '../base/logger.js'
import { createDeferred, type Deferred } from '../base/promises.js'
import type { InspectorAdapter } from './adapter.js'
import { BoundedQueue } from '../base/bounded-queue.js'
import {
  parentOf,
  toActorEvent,
  toEventEvent,
  toGapEvent,
  toSnapshotEvent,
  type InspectedActor,
  type Stamp,
} from './conversion.js'
import { InspectorError } from './errors.js'
import type { StatelyInspectionEvent } from './protocol.js'

/** What an {@link Outbox} is made of. */
export interface OutboxOptions {
  readonly adapter: InspectorAdapter
  /** Events that wait at most. */
  readonly capacity: number
  /** The last look at an event; `undefined` holds it back. */
  readonly serialize: (event: StatelyInspectionEvent) => StatelyInspectionEvent | undefined
  /** Running actors, each with the session id of its root; introduced to whoever connects. */
  readonly live: ReadonlyMap<InspectedActor, string>
  readonly isHidden: (actor: ActorRefLike) => boolean
  readonly clock: Clock
  readonly logger: Logger
}

/** An event that waits to be sent. */
export interface Outgoing {
  readonly event: InspectedEventEvent | InspectedSnapshotEvent
  /** What the actor started with, where the event is its start. */
  readonly initial?: Snapshot<unknown>
}

interface Queued extends Outgoing {
  /** Place among all events that were to be shown, from 1. */
  readonly number: number
  /** Epoch milliseconds. */
  readonly at: number
}

/** Events sent before the service gets its turn again. */
const sliceSize = 100

/** Milliseconds that {@link Outbox.stop} gives to what still waits. */
const stopGraceMs = 1000

/**
 * The way from the service to an adapter. Events are converted only when they are sent, in small slices
 * between the turns of the service; what the adapter cannot take in time is dropped and counted. An actor
 * is introduced before the first event about it, so that a dropped introduction repairs itself.
 *
 * Events are numbered when they are queued. The ids of those that are lost are left out, and the next event
 * is preceded by a notice that says so.
 */
export class Outbox {
  readonly #options: OutboxOptions
  readonly #queue: BoundedQueue<Queued>
  readonly #connected = createDeferred<void>()
  /** Actors that the present connection knows. */
  #announced = new WeakSet<ActorRefLike>()
  /** Actors still to be introduced without an event of their own. */
  #unannounced: Iterator<[InspectedActor, string]> | undefined
  #isStarted = false
  #isConnected = false
  #scheduled: NodeJS.Immediate | undefined
  #drained: Deferred<void> | undefined
  #dropped = 0
  /** Number of the last event that was to be shown. */
  #lastNumber = 0
  /** Number of the last event of which it is settled whether the viewer gets it. */
  #settledNumber = 0
  /** Id of the last event that was sent or is known to be lost. */
  #lastId = 0
  /** How many ids up to the last one are lost and not announced yet. */
  #unannouncedLoss = 0

  constructor(options: OutboxOptions) {
    this.#options = options
    this.#queue = new BoundedQueue(options.capacity)
  }

  /** Resolves with the first connection; rejects with `inspector_stopped`. */
  get connected(): Promise<void> {
    return this.#connected.promise
  }

  get isConnected(): boolean {
    return this.#isConnected
  }

  get dropped(): number {
    return this.#dropped
  }

  get size(): number {
    return this.#queue.size
  }

  /** Begins to connect; later calls change nothing. */
  start(): void {
    if (this.#isStarted) return
    this.#isStarted = true
    this.#options.adapter.start?.(() => this.#changed())
    this.#changed()
  }

  /** Takes an event to be sent soon; nothing happens while nobody is connected. */
  push(outgoing: Outgoing): void {
    if (!this.#isConnected) return
    this.#lastNumber += 1
    const queued = { ...outgoing, number: this.#lastNumber, at: this.#options.clock.wallNow() }
    if (!this.#queue.push(queued)) this.#dropped += 1
    this.#schedule()
  }

  /** Introduces all running actors again. */
  refresh(): void {
    if (!this.#isConnected) return
    this.#announced = new WeakSet()
    // A copy: actors that start later are introduced by what they started with.
    this.#unannounced = [...this.#options.live].values()
    this.#schedule()
  }

  /** Counts an event that cannot even be queued. */
  lose(fault: unknown): void {
    if (this.#isConnected) this.#lastNumber += 1
    this.#countLost(fault)
  }

  /** Sends what waits as far as it goes in a second, then lets go of the adapter. */
  async stop(): Promise<void> {
    if (this.#isConnected) await this.#drain()
    const wasStarted = this.#isStarted
    this.#isStarted = false
    this.#disconnected()
    if (this.#scheduled !== undefined) clearImmediate(this.#scheduled)
    this.#connected.reject(new InspectorError('inspector_stopped', 'the inspector was stopped', {}))
    if (wasStarted) await this.#options.adapter.stop?.()
  }

  async #drain(): Promise<void> {
    const { clock } = this.#options
    const drained = createDeferred<void>()
    this.#drained = drained
    this.#schedule()
    const grace = clock.setTimeout(() => drained.resolve(), stopGraceMs)
    await drained.promise
    clock.clearTimeout(grace)
  }

  #changed(): void {
    if (!this.#isStarted) return
    const isConnected = this.#options.adapter.state !== 'disconnected'
    if (isConnected && !this.#isConnected) {
      this.#isConnected = true
      this.#connected.resolve()
      this.refresh()
    } else if (!isConnected && this.#isConnected) {
      this.#disconnected()
    }
    this.#schedule()
  }

  #disconnected(): void {
    this.#isConnected = false
    this.#unannounced = undefined
    this.#dropped += this.#queue.clear()
    this.#drained?.resolve()
  }

  get #canSend(): boolean {
    return this.#isConnected && (this.#options.adapter.state ?? 'ready') === 'ready'
  }

  #schedule(): void {
    if (this.#scheduled === undefined && this.#canSend) this.#scheduled = setImmediate(() => this.#sendSlice())
  }

  #sendSlice(): void {
    this.#scheduled = undefined
    for (let left = sliceSize; left > 0; left -= 1) {
      if (!this.#canSend) return
      if (!this.#sendNext()) return this.#drained?.resolve()
    }
    this.#schedule()
  }

  /** Sends one event with what has to come before it; false when nothing waits. */
  #sendNext(): boolean {
    const { clock, live } = this.#options
    try {
      const next = this.#unannounced?.next()
      if (next !== undefined && next.done !== true) {
        const [actor, rootId] = next.value
        if (live.has(actor)) this.#announce(actor, rootId, clock.wallNow())
        return true
      }
      this.#unannounced = undefined
      const queued = this.#queue.shift()
      if (queued === undefined) return false
      const { event, initial, number, at } = queued
      const actor = event.actorRef as InspectedActor
      this.#leaveOut(number - 1 - this.#settledNumber)
      this.#settledNumber = number - 1
      if (this.#unannouncedLoss > 0) this.#announceLoss(actor, event.rootId, at)
      this.#announce(actor, event.rootId, at, initial)
      const stamp = this.#stamp(at)
      this.#send(event.type === '@xstate.event' ? toEventEvent(event, stamp) : toSnapshotEvent(event, stamp))
      this.#settledNumber = number
    } catch (fault) {
      this.#countLost(fault)
    }
    return true
  }

  /** Passes over the ids of events that nobody will get. */
  #leaveOut(count: number): void {
    this.#lastId += count
    this.#unannouncedLoss += count
  }

  /** Tells the viewer what it has missed, as an event sent to the root of an actor. Never throws. */
  #announceLoss(actor: InspectedActor, rootId: string, at: number): void {
    try {
      const root = this.#shownRootOf(actor)
      this.#announce(root, rootId, at)
      this.#send(toGapEvent(root, rootId, this.#unannouncedLoss, this.#stamp(at)))
      this.#unannouncedLoss = 0
    } catch (fault) {
      this.#options.logger.warn({ ...faultFields(fault) }, 'the inspector could not be told what it has missed')
    }
  }

  #shownRootOf(actor: InspectedActor): InspectedActor {
    const parent = parentOf(actor)
    return parent === undefined || this.#options.isHidden(parent) ? actor : this.#shownRootOf(parent)
  }

  #countLost(fault: unknown): void {
    this.#dropped += 1
    this.#options.logger.warn({ ...faultFields(fault) }, 'an event could not be shown to the inspector')
  }

  /** Introduces an actor, its ancestors first, unless this connection knows it. */
  #announce(actor: InspectedActor, rootId: string, at: number, initial?: Snapshot<unknown>): void {
    if (this.#announced.has(actor)) return
    const parent = parentOf(actor)
    if (parent !== undefined && !this.#options.isHidden(parent)) this.#announce(parent, rootId, at)
    const snapshot = initial ?? (actor.getSnapshot() as Snapshot<unknown>)
    this.#send(toActorEvent(actor, rootId, snapshot, this.#stamp(at)))
    this.#announced.add(actor)
  }

  #stamp(at: number): Stamp {
    return { id: this.#lastId + 1, at }
  }

  #send(event: StatelyInspectionEvent): void {
    const shown = this.#options.serialize(event)
    if (shown === undefined) return
    this.#options.adapter.send(shown)
    this.#lastId += 1
  }
}
