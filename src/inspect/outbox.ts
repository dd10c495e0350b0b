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

/** Options of an {@link Outbox}. */
export interface OutboxOptions {
  readonly adapter: InspectorAdapter
  /** Maximum number of queued events. */
  readonly capacity: number
  /** Called for each event before it is sent; may change it, or return `undefined` to hold it back. */
  readonly serialize: (event: StatelyInspectionEvent) => StatelyInspectionEvent | undefined
  /** Running actors, each with the session id of its root; they are announced to every new connection. */
  readonly live: ReadonlyMap<InspectedActor, string>
  readonly isHidden: (actor: ActorRefLike) => boolean
  readonly clock: Clock
  readonly logger: Logger
}

/** An event that waits to be sent. */
export interface Outgoing {
  readonly event: InspectedEventEvent | InspectedSnapshotEvent
  /** The initial snapshot of the actor, if the event is its start. */
  readonly initial?: Snapshot<unknown>
}

interface Queued extends Outgoing {
  /** Number among all events to be shown, from 1. */
  readonly number: number
  /** Epoch milliseconds. */
  readonly at: number
}

/** Events sent before control returns to the service. */
const sliceSize = 100

/** How long {@link Outbox.stop} may take to send queued events, in milliseconds. */
const stopGraceMs = 1000

/**
 * The queue between the service and an adapter. Events are converted only when they are sent, in small slices between
 * the turns of the service; those that the adapter cannot accept in time are dropped and counted. An actor is announced
 * before the first event about it, so that a dropped announcement repairs itself.
 *
 * Events are numbered when they are queued. The ids of dropped events are left out, and the next event is preceded by a
 * notice of the loss.
 */
export class Outbox {
  readonly #options: OutboxOptions
  readonly #queue: BoundedQueue<Queued>
  readonly #connected = createDeferred<void>()
  /** Actors that were announced on the current connection. */
  #announced = new WeakSet<ActorRefLike>()
  /** Actors that are still to be announced without an event of their own. */
  #unannounced: Iterator<[InspectedActor, string]> | undefined
  #isStarted = false
  #isConnected = false
  #scheduled: NodeJS.Immediate | undefined
  #drained: Deferred<void> | undefined
  #dropped = 0
  /** Number of the last event to be shown. */
  #lastNumber = 0
  /** Number of the last event that was either sent or dropped. */
  #settledNumber = 0
  /** Id of the last event that was sent or dropped. */
  #lastId = 0
  /** Dropped ids up to the last one that no notice has reported yet. */
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

  /** Starts connecting; later calls have no effect. */
  start(): void {
    if (this.#isStarted) return
    this.#isStarted = true
    this.#options.adapter.start?.(() => this.#changed())
    this.#changed()
  }

  /** Queues an event; does nothing while nobody is connected. */
  push(outgoing: Outgoing): void {
    if (!this.#isConnected) return
    this.#lastNumber += 1
    const queued = { ...outgoing, number: this.#lastNumber, at: this.#options.clock.wallNow() }
    if (!this.#queue.push(queued)) this.#dropped += 1
    this.#schedule()
  }

  /** Announces all running actors again. */
  refresh(): void {
    if (!this.#isConnected) return
    this.#announced = new WeakSet()
    // A copy: actors that start later are announced with their initial snapshot.
    this.#unannounced = [...this.#options.live].values()
    this.#schedule()
  }

  /** Counts an event that could not even be queued. */
  lose(fault: unknown): void {
    if (this.#isConnected) this.#lastNumber += 1
    this.#countLost(fault)
  }

  /** Sends queued events for up to a second, then stops the adapter. */
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

  /** Sends one event, preceded by notices and announcements if needed; false when the queue is empty. */
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

  /** Skips the ids of events that nobody will get. */
  #leaveOut(count: number): void {
    this.#lastId += count
    this.#unannouncedLoss += count
  }

  /** Reports a loss to the viewer, as an event sent to the root of an actor. Never throws. */
  #announceLoss(actor: InspectedActor, rootId: string, at: number): void {
    try {
      const root = this.#shownRootOf(actor)
      this.#announce(root, rootId, at)
      this.#send(toGapEvent(root, rootId, this.#unannouncedLoss, this.#stamp(at)))
      this.#unannouncedLoss = 0
    } catch (fault) {
      this.#options.logger.warn({ ...faultFields(fault) }, 'the inspector could not be notified of missed events')
    }
  }

  #shownRootOf(actor: InspectedActor): InspectedActor {
    const parent = parentOf(actor)
    return parent === undefined || this.#options.isHidden(parent) ? actor : this.#shownRootOf(parent)
  }

  #countLost(fault: unknown): void {
    this.#dropped += 1
    this.#options.logger.warn({ ...faultFields(fault) }, 'an event could not be sent to the inspector')
  }

  /** Announces an actor, its ancestors first, unless this connection knows it. */
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
