import type { ActorRefLike, InspectedEventEvent, InspectedSnapshotEvent, Snapshot } from 'xstate'
import type { Clock } from '../base/clock.js'
import { messageOf } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import { createDeferred, type Deferred } from '../base/promises.js'
import type { InspectorAdapter } from './adapter.js'
import { BoundedQueue } from '../base/bounded-queue.js'
import { parentOf, toActorEvent, toEventEvent, toSnapshotEvent, type InspectedActor, type Stamp } from './conversion.js'
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

/** Events sent before the service gets its turn again. */
const sliceSize = 100

/** Milliseconds that {@link Outbox.stop} gives to what still waits. */
const stopGraceMs = 1000

/**
 * The way from the service to an adapter. Events are converted only when they are sent, in small slices
 * between the turns of the service; what the adapter cannot take in time is dropped and counted. An actor
 * is introduced before the first event about it, so that a dropped introduction repairs itself.
 */
export class Outbox {
  readonly #options: OutboxOptions
  readonly #queue: BoundedQueue<Outgoing & { readonly at: number }>
  readonly #connected = createDeferred<void>()
  /** Actors that the present connection knows. */
  #announced = new WeakSet<ActorRefLike>()
  /** Actors still to be introduced without an event of their own. */
  #unannounced: Iterator<[InspectedActor, string]> | undefined
  #isStarted = false
  #isConnected = false
  #scheduled: NodeJS.Immediate | undefined
  #drained: Deferred<void> | undefined
  #sent = 0
  #dropped = 0

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
    if (!this.#queue.push({ ...outgoing, at: this.#options.clock.wallNow() })) this.#dropped += 1
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

  /** Counts an event that could not be shown. */
  lose(fault: unknown): void {
    this.#dropped += 1
    this.#options.logger.warn({ cause: messageOf(fault) }, 'an event could not be shown to the inspector')
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
      const { event, initial, at } = queued
      this.#announce(event.actorRef as InspectedActor, event.rootId, at, initial)
      const stamp = this.#stamp(at)
      this.#send(event.type === '@xstate.event' ? toEventEvent(event, stamp) : toSnapshotEvent(event, stamp))
    } catch (fault) {
      this.lose(fault)
    }
    return true
  }

  /** Introduces an actor, its ancestors first, unless this connection knows it. */
  #announce(actor: InspectedActor, rootId: string, at: number, initial?: Snapshot<unknown>): void {
    if (this.#announced.has(actor)) return
    this.#announced.add(actor)
    const parent = parentOf(actor)
    if (parent !== undefined && !this.#options.isHidden(parent)) this.#announce(parent, rootId, at)
    const snapshot = initial ?? (actor.getSnapshot() as Snapshot<unknown>)
    this.#send(toActorEvent(actor, rootId, snapshot, this.#stamp(at)))
  }

  #stamp(at: number): Stamp {
    return { number: this.#sent + 1, at }
  }

  #send(event: StatelyInspectionEvent): void {
    const shown = this.#options.serialize(event)
    if (shown === undefined) return
    this.#sent += 1
    this.#options.adapter.send(shown)
  }
}
