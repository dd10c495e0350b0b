import type {
  ActorRefLike,
  AnyEventObject,
  InspectedEventEvent,
  InspectedSnapshotEvent,
  InspectionEvent,
  Observer,
  Snapshot,
} from 'xstate'
import * as v from 'valibot'
import { systemClock, type Clock } from '../base/clock.js'
import { decode } from '../base/decode.js'
import { InvalidInputError } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import { guardedLogger } from '../base/observers.js'
import {
  functionSchema,
  numberSchema,
  optionsSchema,
  portSchema,
  textSchema,
  wholeNumberSchema,
} from '../base/options.js'
import { clockSchema, loggerSchema } from '../base/ports.js'
import type { InspectorAdapter } from './adapter.js'
import type { InspectedActor } from './conversion.js'
import { Outbox } from './outbox.js'
import type { StatelyInspectionEvent } from './protocol.js'
import { isSampled, operationOfEvent, operationOfSnapshot } from './sampling.js'
import { loadWebSocket } from './web-socket.js'
import { WebSocketAdapter } from './web-socket-adapter.js'

/** Options of a Stately inspector; all have defaults. */
export interface StatelyInspectorOptions {
  /**
   * The address of an inspector server. Default `ws://127.0.0.1:8080`. Needs the optional peer `@statelyai/inspect`.
   */
  readonly url?: string
  /** Used instead of a WebSocket; excludes `url`. */
  readonly adapter?: InspectorAdapter
  /**
   * Called first for each inspection event of XState; false leaves it out. Refusing an actor's `@xstate.actor` event
   * hides the actor altogether; at that moment its snapshot cannot be read yet.
   */
  readonly filter?: (event: InspectionEvent) => boolean
  /** The fraction of operations that are shown, from 0 to 1, each with its whole history. Default 1. */
  readonly sample?: number
  /** Maximum number of queued events; beyond it the oldest are dropped and counted. Default 1,000. */
  readonly maxQueued?: number
  /**
   * Called last for each event that leaves the process, for instance to remove secrets; `undefined` holds the event
   * back.
   */
  readonly serialize?: (event: StatelyInspectionEvent) => StatelyInspectionEvent | undefined
  /** Milliseconds between attempts to connect to `url`: from 0 to 2,147,483,647. Default 2,000. */
  readonly reconnectMs?: number
  readonly clock?: Clock
  readonly logger?: Logger
}

/** The longest delay of a timer. */
const longestTimer = 2 ** 31 - 1

const optionsOfInspector = optionsSchema<StatelyInspectorOptions>({
  url: v.optional(textSchema()),
  adapter: v.optional(portSchema<InspectorAdapter>(['send'], ['start', 'stop'])),
  filter: v.optional(functionSchema<NonNullable<StatelyInspectorOptions['filter']>>()),
  sample: v.optional(numberSchema(0, 1)),
  maxQueued: v.optional(wholeNumberSchema(1)),
  serialize: v.optional(functionSchema<NonNullable<StatelyInspectorOptions['serialize']>>()),
  reconnectMs: v.optional(numberSchema(0, longestTimer)),
  clock: v.optional(clockSchema),
  logger: v.optional(loggerSchema),
})

const defaultUrl = 'ws://127.0.0.1:8080'
const defaultMaxQueued = 1000
const defaultReconnectMs = 2000

/**
 * Creates an inspector that shows XState actors in a Stately inspector. Pass its `inspect` to `createRuntime` and call
 * {@link StatelyInspector.start}.
 *
 * Raises `inspector_unavailable` when the peer dependency for `url` is missing, and `invalid_input` for a bad option.
 */
export function createStatelyInspector(options: StatelyInspectorOptions = {}): StatelyInspector {
  return new StatelyInspector(options)
}

/**
 * A bridge from XState's inspection events to Stately's protocol. It never makes the service wait and never throws into
 * it: events that the receiver cannot accept in time are dropped and counted. While nobody is connected it keeps only
 * the set of running actors, so that a new connection is shown all of them.
 */
export class StatelyInspector implements AsyncDisposable {
  /** The observer to pass to `createRuntime({ inspect })`, or to any root actor. */
  readonly inspect: Observer<InspectionEvent> = { next: (event) => this.#take(event) }
  readonly #filter: (event: InspectionEvent) => boolean
  readonly #sample: number
  readonly #outbox: Outbox
  /** Actors that have started and not ended, each with the session id of its root. */
  readonly #live = new Map<InspectedActor, string>()
  /** Actors that are hidden by the filter or by sampling. */
  readonly #hidden = new WeakSet<ActorRefLike>()
  /** Events from hidden actors; the snapshot event that follows contains the same object. */
  readonly #hiddenEvents = new WeakSet<AnyEventObject>()
  #stopping: Promise<void> | undefined

  constructor(given: StatelyInspectorOptions) {
    const options = decode(optionsOfInspector, given, 'inspector options')
    const { filter = () => true, serialize = (event) => event, sample = 1, maxQueued = defaultMaxQueued } = options
    const { clock = systemClock } = options
    const logger = guardedLogger(options.logger)
    this.#filter = filter
    this.#sample = sample
    this.#outbox = new Outbox({
      adapter: adapterFor(options, clock, logger),
      capacity: maxQueued,
      serialize,
      live: this.#live,
      isHidden: (actor) => this.#hidden.has(actor),
      clock,
      logger,
    })
  }

  /**
   * Events that should have been shown but were not: the receiver was slow or disconnected, or they could not be
   * converted.
   */
  get dropped(): number {
    return this.#outbox.dropped
  }

  /** Events that wait to be sent. */
  get queued(): number {
    return this.#outbox.size
  }

  /** Whether a receiver is connected. */
  get isConnected(): boolean {
    return this.#outbox.isConnected
  }

  /**
   * Starts connecting, and reconnects until {@link StatelyInspector.stop}. Resolves with the first connection, which a
   * service need not await. Rejects with `inspector_stopped`.
   */
  start(): Promise<void> {
    if (this.#stopping === undefined) this.#outbox.start()
    return this.#outbox.connected
  }

  /** Announces all running actors again, for a viewer that came after the connection was made. */
  refresh(): void {
    this.#outbox.refresh()
  }

  /** Sends queued events for up to a second, and closes the connection; later calls share the first one. */
  stop(): Promise<void> {
    this.#stopping ??= this.#outbox.stop().finally(() => this.#live.clear())
    return this.#stopping
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  #take(event: InspectionEvent): void {
    if (this.#stopping !== undefined || this.#hidden.has(event.actorRef)) return
    try {
      switch (event.type) {
        case '@xstate.actor':
          if (!this.#passesFilter(event)) this.#hidden.add(event.actorRef)
          return
        case '@xstate.event':
          return event.event.type === 'xstate.init' ? this.#started(event) : this.#show(event)
        case '@xstate.snapshot':
          if (event.snapshot.status !== 'active') this.#live.delete(event.actorRef as InspectedActor)
          return this.#show(event)
        default:
          // Transitions, microsteps and actions are not part of the protocol.
          return
      }
    } catch (fault) {
      // An exception would surface in the service, in the middle of a transition.
      this.#outbox.lose(fault)
    }
  }

  /** The snapshot of an actor can only be read from now on; an actor that never starts has nothing to show. */
  #started(event: InspectedEventEvent): void {
    const initial = event.actorRef.getSnapshot() as Snapshot<unknown>
    if (!this.#isInSample(operationOfSnapshot(initial))) {
      this.#hidden.add(event.actorRef)
      return
    }
    this.#live.set(event.actorRef as InspectedActor, event.rootId)
    if (this.#isShown(event)) this.#outbox.push({ event, initial })
  }

  #show(event: InspectedEventEvent | InspectedSnapshotEvent): void {
    if (this.#isShown(event)) this.#outbox.push({ event })
  }

  /** Events that a registry receives about a hidden operation are hidden too. */
  #isShown(event: InspectedEventEvent | InspectedSnapshotEvent): boolean {
    if (!this.#outbox.isConnected) return false
    if (event.type === '@xstate.event' && event.sourceRef !== undefined && this.#hidden.has(event.sourceRef)) {
      this.#hiddenEvents.add(event.event)
    }
    if (this.#hiddenEvents.has(event.event)) return false
    return this.#isInSample(operationOfEvent(event.event)) && this.#passesFilter(event)
  }

  /** A filter may protect secrets, so an exception counts as a refusal. */
  #passesFilter(event: InspectionEvent): boolean {
    try {
      return this.#filter(event)
    } catch (fault) {
      this.#outbox.lose(fault)
      return false
    }
  }

  #isInSample(operation: string | undefined): boolean {
    return this.#sample === 1 || operation === undefined || isSampled(operation, this.#sample)
  }
}

function adapterFor(
  { adapter, url, reconnectMs = defaultReconnectMs }: StatelyInspectorOptions,
  clock: Clock,
  logger: Logger,
): InspectorAdapter {
  if (adapter !== undefined && url !== undefined) throw refusedOption('url', 'given together with an adapter')
  if (adapter !== undefined) return adapter
  const address = url ?? defaultUrl
  if (!/^wss?:/.test(address) || !URL.canParse(address)) throw refusedOption('url', 'not a WebSocket address')
  return new WebSocketAdapter({ url: address, openSocket: loadWebSocket(), clock, logger, reconnectMs })
}

function refusedOption(field: string, reason: string): InvalidInputError {
  return new InvalidInputError({ subject: 'inspector options', field, reason })
}
