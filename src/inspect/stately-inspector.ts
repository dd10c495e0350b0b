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

/** How an inspector is set up; everything has a default. */
export interface StatelyInspectorOptions {
  /** Where an inspector server listens. Default `ws://127.0.0.1:8080`. Needs the optional peer `@statelyai/inspect`. */
  readonly url?: string
  /** Another way out than a WebSocket; excludes `url`. */
  readonly adapter?: InspectorAdapter
  /**
   * Asked about each event of XState before anything else is done for it. To refuse the `@xstate.actor` of an
   * actor keeps the actor out altogether; its snapshot cannot be read yet at that moment.
   */
  readonly filter?: (event: InspectionEvent) => boolean
  /** Fraction of the operations, from 0 to 1, that are shown, each with its whole story. Default 1. */
  readonly sample?: number
  /** Events that wait for the other end at most; beyond that the oldest are dropped and counted. Default 1,000. */
  readonly maxQueued?: number
  /** The last look at what leaves the process, for instance to blank out secrets; `undefined` holds the event back. */
  readonly serialize?: (event: StatelyInspectionEvent) => StatelyInspectionEvent | undefined
  /** Milliseconds between attempts to connect to `url`: from 0 to 2,147,483,647. Default 2,000. */
  readonly reconnectMs?: number
  readonly clock?: Clock
  readonly logger?: Logger
}

/** The longest delay that a timer keeps. */
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
 * Makes an inspector that shows actors of XState to a Stately inspector. Hand its `inspect` to
 * `createRuntime` and call {@link StatelyInspector.start}.
 *
 * Raises `inspector_unavailable` when the peer dependency for `url` is missing, and `invalid_input` for a
 * bad option.
 */
export function createStatelyInspector(options: StatelyInspectorOptions = {}): StatelyInspector {
  return new StatelyInspector(options)
}

/**
 * A bridge from XState's inspection events to Stately's protocol. It never makes the service wait and
 * never throws into it: what the other end cannot take in time is dropped and counted. While nobody is
 * connected only the set of running actors is kept, so that whoever connects is shown all of them.
 */
export class StatelyInspector implements AsyncDisposable {
  /** The observer to hand to `createRuntime({ inspect })`, or to any root actor. */
  readonly inspect: Observer<InspectionEvent> = { next: (event) => this.#take(event) }
  readonly #filter: (event: InspectionEvent) => boolean
  readonly #sample: number
  readonly #outbox: Outbox
  /** Actors that have started and not ended, each with the session id of its root. */
  readonly #live = new Map<InspectedActor, string>()
  /** Actors that are kept out by the filter or by sampling. */
  readonly #hidden = new WeakSet<ActorRefLike>()
  /** Events that came from hidden actors; the snapshot that follows carries the same object. */
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

  /** Events that were to be shown and were not: the other end was slow or went away, or they could not be converted. */
  get dropped(): number {
    return this.#outbox.dropped
  }

  /** Events that wait to be sent. */
  get queued(): number {
    return this.#outbox.size
  }

  /** Whether somebody is there to be shown anything. */
  get isConnected(): boolean {
    return this.#outbox.isConnected
  }

  /**
   * Begins to connect and keeps at it until {@link StatelyInspector.stop}. Resolves with the first connection, which
   * a service need not await. Rejects with `inspector_stopped`.
   */
  start(): Promise<void> {
    if (this.#stopping === undefined) this.#outbox.start()
    return this.#outbox.connected
  }

  /** Introduces all running actors again, for a viewer that came later than the connection. */
  refresh(): void {
    this.#outbox.refresh()
  }

  /** Sends what waits, for a second at most, and lets go of the connection; later calls share the first one. */
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

  /** Only now can the snapshot of an actor be read; one that never starts does nothing that could be shown. */
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

  /** What a registry is told of an operation that is not shown is not shown either. */
  #isShown(event: InspectedEventEvent | InspectedSnapshotEvent): boolean {
    if (!this.#outbox.isConnected) return false
    if (event.type === '@xstate.event' && event.sourceRef !== undefined && this.#hidden.has(event.sourceRef)) {
      this.#hiddenEvents.add(event.event)
    }
    if (this.#hiddenEvents.has(event.event)) return false
    return this.#isInSample(operationOfEvent(event.event)) && this.#passesFilter(event)
  }

  /** A filter may be there to keep secrets, so one that breaks refuses. */
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
