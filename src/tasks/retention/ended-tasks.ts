import { OrderedSet } from '../../base/ordered-set.js'
import type { TaskId } from '../ids.js'
import type { RetentionBounds } from './options.js'

interface Place {
  readonly taskId: TaskId
  readonly endedAtMs: number
  readonly queue: Queue
}

interface Queue {
  readonly bounds: RetentionBounds
  readonly places: OrderedSet<Place>
}

const byEnd = (one: Place, other: Place): number =>
  one.endedAtMs - other.endedAtMs || (one.taskId < other.taskId ? -1 : one.taskId > other.taskId ? 1 : 0)

/**
 * Ended tasks that are kept, ordered by the time of their end; each kind with its own bounds has a queue of its own.
 */
export class EndedTasks {
  readonly #others: Queue
  readonly #kinds: ReadonlyMap<string, Queue>
  readonly #places = new Map<TaskId, Place>()

  constructor(bounds: RetentionBounds, kinds: ReadonlyMap<string, RetentionBounds>) {
    this.#others = queueOf(bounds)
    this.#kinds = new Map(Array.from(kinds, ([kind, own]) => [kind, queueOf(own)]))
  }

  /** Adds a task, or moves it to its later end. A task that is kept for good is not stored. */
  add(taskId: TaskId, kind: string, endedAtMs: number): void {
    const known = this.#places.get(taskId)
    if (known !== undefined && known.endedAtMs >= endedAtMs) return
    this.delete(taskId)
    const queue = this.#kinds.get(kind) ?? this.#others
    const { endedForMs, count } = queue.bounds
    if (endedForMs === undefined && count === undefined) return
    const place = { taskId, endedAtMs, queue }
    this.#places.set(taskId, place)
    queue.places.add(place)
  }

  /** Removes a task. */
  delete(taskId: TaskId): void {
    const place = this.#places.get(taskId)
    if (place === undefined) return
    this.#places.delete(taskId)
    place.queue.places.delete(place)
  }

  /** The first task that is beyond its bounds at an instant. */
  due(nowMs: number): TaskId | undefined {
    for (const queue of this.#queues()) {
      const { first, size } = queue.places
      if (first === undefined) continue
      const { endedForMs = Number.POSITIVE_INFINITY, count = Number.POSITIVE_INFINITY } = queue.bounds
      if (size > count || first.endedAtMs + endedForMs <= nowMs) return first.taskId
    }
    return undefined
  }

  /** When the next one will be, in epoch milliseconds, if nothing else ends. */
  nextDueAtMs(): number | undefined {
    let next: number | undefined
    for (const { places, bounds } of this.#queues()) {
      const { first, size } = places
      if (first === undefined) continue
      const { endedForMs = Number.POSITIVE_INFINITY, count = Number.POSITIVE_INFINITY } = bounds
      const dueAt = size > count ? 0 : first.endedAtMs + endedForMs
      if (Number.isFinite(dueAt) && (next === undefined || dueAt < next)) next = dueAt
    }
    return next
  }

  *#queues(): Iterable<Queue> {
    yield this.#others
    yield* this.#kinds.values()
  }
}

function queueOf(bounds: RetentionBounds): Queue {
  return { bounds, places: new OrderedSet(byEnd) }
}
