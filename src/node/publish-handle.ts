import { Channel, type Sent } from '../base/channel.js'
import { decode } from '../base/decode.js'
import type { DeadlineQueue } from '../base/deadline-queue.js'
import { durationSchema } from '../base/options.js'
import { createDeferred, silence } from '../base/promises.js'
import { NodeError } from './errors.js'
import { takeNodeEvent, type NodeEvent, type OperatorEvent } from './event.js'
import type { Digest } from './ids.js'
import type { AdminAuditRecord } from './records.js'

/** An event in the queue of a loop. */
export interface QueuedEvent {
  readonly event: NodeEvent
  /**
   * For an operator's attempt: the instant it is judged by, if not this node's clock, and the callback for the result.
   */
  readonly attempt?: QueuedAttempt
}

/** An operator's attempt whose submitter waits for the result. */
export interface QueuedAttempt {
  readonly judgedAtMs: number | undefined
  /**
   * Called once with the result, or with the reason why it is unknown. The record is `undefined` for a trial that would
   * be accepted.
   */
  readonly onJudged: (judged: Promise<AdminAuditRecord | undefined>) => void
  /** Only a refusal takes effect: the attempt is about to be shared. */
  readonly isTrial?: boolean
  /** Set when the attempt was accepted and judged before, to its digest. */
  readonly knownAs?: Digest
  /** It came through the log of a cluster. */
  readonly shared?: SharedAttempt
}

/** The circumstances of a commit that came through the log of a cluster. */
export interface SharedAttempt {
  /** The position in the log after this commit. */
  readonly position: { readonly clusterId: string; readonly sequence: number }
  /** Milliseconds since it was shared. */
  readonly ageMs: number
}

/** How to queue an operator's attempt. */
export interface AttemptOptions extends Partial<Pick<QueuedAttempt, 'judgedAtMs' | 'knownAs' | 'shared'>> {
  /** How long to wait for room in the queue, in milliseconds. */
  readonly timeoutMs: number
}

/**
 * A handle for publishing events to a node's loop. Close it when you are done: a loop whose last handle is closed
 * applies the queued events, then ends.
 */
export interface PublishHandle extends Disposable {
  /**
   * Resolves once the event is in the queue, in the order of the calls, however long that takes. Rejects with
   * `invalid_input` and `node.loop_closed`.
   */
  publish(event: NodeEvent): Promise<void>
  /**
   * Like {@link PublishHandle.publish}, but rejects with `node.queue_full` if there is no room within `timeoutMs`
   * milliseconds. For long-lived sources.
   */
  publishTimeout(event: NodeEvent, timeoutMs: number): Promise<void>
  /**
   * Queues the event now. Raises `node.queue_full`, also while others wait for room, `node.loop_closed` and
   * `invalid_input`.
   */
  tryPublish(event: NodeEvent): void
  /** Returns another handle on the same queue. Raises `node.loop_closed` if this one is closed. */
  clone(): PublishHandle
  close(): void
}

/** Options of a {@link PublishQueue}. */
export interface PublishQueueOptions {
  readonly capacity: number
  readonly deadlines: DeadlineQueue
  /** Called when there is an event to take. */
  readonly onEvent: () => void
  /** Called when the last handle was closed. */
  readonly onAbandoned: () => void
}

/** The queue of a loop, and its handles, which are counted. */
export class PublishQueue {
  readonly #options: PublishQueueOptions
  readonly #channel: Channel<QueuedEvent>
  readonly #open = new Set<Handle>()

  constructor(options: PublishQueueOptions) {
    this.#options = options
    this.#channel = new Channel({ capacity: options.capacity, onItem: options.onEvent })
  }

  /** Events that are queued. */
  get size(): number {
    return this.#channel.size
  }

  /** Handles that are open. */
  get handles(): number {
    return this.#open.size
  }

  /** Returns a new handle. */
  handle(): PublishHandle {
    const handle = new Handle(this.#channel, this.#options.deadlines, {
      capacity: this.#options.capacity,
      clone: () => this.handle(),
      close: () => this.#forget(handle),
    })
    this.#open.add(handle)
    return handle
  }

  /**
   * Queues an operator's attempt and resolves with its record, once its effects are durable. Rejects with
   * `node.queue_full` if there is no room within the time limit, and with `node.loop_closed`.
   */
  submit(event: OperatorEvent, options: AttemptOptions): Promise<AdminAuditRecord> {
    return this.#judged(event, options) as Promise<AdminAuditRecord>
  }

  /**
   * Like {@link PublishQueue.submit}, but only a refusal takes effect: resolves with its record, or with `undefined` if
   * the attempt would be accepted.
   */
  tryOut(event: OperatorEvent, options: AttemptOptions): Promise<AdminAuditRecord | undefined> {
    return this.#judged(event, options, true)
  }

  #judged(
    event: OperatorEvent,
    { timeoutMs, judgedAtMs, ...options }: AttemptOptions,
    isTrial = false,
  ): Promise<AdminAuditRecord | undefined> {
    const { capacity, deadlines } = this.#options
    const judged = createDeferred<AdminAuditRecord | undefined>()
    const attempt: QueuedAttempt = { ...options, judgedAtMs, isTrial, onJudged: judged.resolve }
    const take = async (): Promise<AdminAuditRecord | undefined> => {
      const sent = await this.#channel.sendWithin({ event: takeNodeEvent(event), attempt }, timeoutMs, deadlines)
      if (sent === 'closed') throw new NodeError('node.loop_closed', {})
      if (sent === 'full') throw new NodeError('node.queue_full', { capacity })
      return judged.promise
    }
    return silence(take())
  }

  /** Queues an event of the node's own, which needs no check. */
  post(event: NodeEvent): Sent {
    return this.#channel.trySend({ event })
  }

  /** The same, but waits for room. */
  postWhenRoom(event: NodeEvent): Promise<Sent> {
    return this.#channel.send({ event })
  }

  /** Takes the oldest event. */
  take(): QueuedEvent | undefined {
    return this.#channel.take()
  }

  /** Refuses events from now on and discards the queued ones; returns their number. */
  close(): number {
    this.#channel.close()
    const { size } = this
    for (let queued = this.take(); queued !== undefined; queued = this.take()) {
      queued.attempt?.onJudged(silence(Promise.reject(new NodeError('node.loop_closed', {}))))
    }
    return size
  }

  #forget(handle: Handle): void {
    if (this.#open.delete(handle) && this.#open.size === 0) this.#options.onAbandoned()
  }
}

/** What a handle needs of its queue. */
interface QueueOfHandle {
  readonly capacity: number
  readonly clone: () => PublishHandle
  readonly close: () => void
}

class Handle implements PublishHandle {
  readonly #channel: Channel<QueuedEvent>
  readonly #deadlines: DeadlineQueue
  readonly #queue: QueueOfHandle
  #isClosed = false

  constructor(channel: Channel<QueuedEvent>, deadlines: DeadlineQueue, queue: QueueOfHandle) {
    this.#channel = channel
    this.#deadlines = deadlines
    this.#queue = queue
  }

  publish(event: NodeEvent): Promise<void> {
    return silence(this.#send(event, (queued) => this.#channel.send(queued)))
  }

  publishTimeout(event: NodeEvent, timeoutMs: number): Promise<void> {
    return silence(
      this.#send(event, (queued) => {
        const withinMs = decode(durationSchema, timeoutMs, 'publish timeout')
        return this.#channel.sendWithin(queued, withinMs, this.#deadlines)
      }),
    )
  }

  tryPublish(event: NodeEvent): void {
    this.#check(this.#channel.trySend(this.#queued(event)))
  }

  clone(): PublishHandle {
    if (this.#isClosed) throw new NodeError('node.loop_closed', {})
    return this.#queue.clone()
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#queue.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  // Not after an await: events must be queued in the order of the calls.
  async #send(event: NodeEvent, send: (queued: QueuedEvent) => Promise<Sent>): Promise<void> {
    this.#check(await send(this.#queued(event)))
  }

  #queued(event: NodeEvent): QueuedEvent {
    if (this.#isClosed) throw new NodeError('node.loop_closed', {})
    return { event: takeNodeEvent(event) }
  }

  #check(sent: Sent): void {
    if (sent === 'closed') throw new NodeError('node.loop_closed', {})
    if (sent === 'full') throw new NodeError('node.queue_full', { capacity: this.#queue.capacity })
  }
}
