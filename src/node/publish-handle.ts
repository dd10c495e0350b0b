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
  /** Of an attempt of an operator: by which instant it is judged, if not by the clock of this node, and whom to tell. */
  readonly attempt?: QueuedAttempt
}

/** What goes with an attempt of an operator that somebody waits for. */
export interface QueuedAttempt {
  readonly judgedAtMs: number | undefined
  /** Told what became of it, or why that is not known; called once. With `undefined` where it was only tried and would be taken. */
  readonly onJudged: (judged: Promise<AdminAuditRecord | undefined>) => void
  /** Nothing follows unless it is refused: it is about to be shared. */
  readonly isTrial?: boolean
  /** It was judged before. */
  readonly knownAs?: Digest
  /** It came by the log of a cluster. */
  readonly shared?: SharedAttempt
}

/** What goes with a commit that came by the log of a cluster. */
export interface SharedAttempt {
  /** How far that log was read, with it. */
  readonly position: { readonly clusterId: string; readonly sequence: number }
  /** Milliseconds since it was shared. */
  readonly ageMs: number
}

/** How an attempt of an operator is put into the queue. */
export interface AttemptOptions extends Partial<Pick<QueuedAttempt, 'judgedAtMs' | 'knownAs' | 'shared'>> {
  /** Milliseconds that it waits for room. */
  readonly timeoutMs: number
}

/**
 * One end of the queue of a node, for whoever has something to tell its loop. Close it when nothing more is to come: a loop
 * whose last handle is closed applies what is queued, then ends.
 */
export interface PublishHandle extends Disposable {
  /**
   * Resolves once the event is in the queue, in the order of the calls, however long that takes. Rejects with `invalid_input` and
   * `node.loop_closed`.
   */
  publish(event: NodeEvent): Promise<void>
  /** The same, but rejects with `node.queue_full` when there was no room for so many milliseconds. For sources that live long. */
  publishTimeout(event: NodeEvent, timeoutMs: number): Promise<void>
  /** Puts the event into the queue now. Raises `node.queue_full`, also while others wait for room, `node.loop_closed` and `invalid_input`. */
  tryPublish(event: NodeEvent): void
  /** Another handle on the same queue. Raises `node.loop_closed` where this one is closed. */
  clone(): PublishHandle
  close(): void
}

/** What handles are made on. */
export interface PublishQueueOptions {
  readonly capacity: number
  readonly deadlines: DeadlineQueue
  /** There is something to take. */
  readonly onEvent: () => void
  /** The last handle was closed. */
  readonly onAbandoned: () => void
}

/** The queue of a loop, and the handles on it, which are counted. */
export class PublishQueue {
  readonly #options: PublishQueueOptions
  readonly #channel: Channel<QueuedEvent>
  readonly #open = new Set<Handle>()

  constructor(options: PublishQueueOptions) {
    this.#options = options
    this.#channel = new Channel({ capacity: options.capacity, onItem: options.onEvent })
  }

  /** Events that were published and not taken. */
  get size(): number {
    return this.#channel.size
  }

  /** Handles that are not closed. */
  get handles(): number {
    return this.#open.size
  }

  /** A new handle. */
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
   * Puts an attempt of an operator into the queue and resolves with its record, once what follows from it is durable. Rejects with
   * `node.queue_full` when there was no room for so many milliseconds, and `node.loop_closed`.
   */
  submit(event: OperatorEvent, options: AttemptOptions): Promise<AdminAuditRecord> {
    return this.#judged(event, options) as Promise<AdminAuditRecord>
  }

  /** The same, but nothing follows unless it is refused: then its record, and `undefined` where it would be taken. */
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

  /** Puts an event of the node's own into the queue, whose shape is known to be right. */
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

  /** Refuses everything from now on and forgets what is queued; says how much that was. */
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

  // Not after an await: events are to stand in the queue in the order of the calls.
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
