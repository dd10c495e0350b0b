import type { Deadline, DeadlineQueue } from '../../base/deadline-queue.js'
import { defaultHeartbeatPolicy, heartbeatTimeout } from '../actor.js'
import type { TaskEvent } from '../catalogue.js'
import type { ActorId } from '../ids.js'
import type { TaskProjection } from '../view.js'
import { restOf, type TaskClock } from './task-clock.js'

/** Options of an {@link ActorWatch}. */
export interface ActorWatchOptions {
  readonly projection: TaskProjection
  readonly deadlines: DeadlineQueue
  readonly times: TaskClock
  /** Called for an actor that has been silent for too long. */
  readonly onSilent: (actorId: ActorId) => void
}

/**
 * Detects actors that have been silent for three heartbeat intervals; registering counts as a heartbeat (T-96). Silence
 * is measured by the monotonic clock; silence that began in an earlier process is measured by the wall clock.
 */
export class ActorWatch implements Disposable {
  readonly #options: ActorWatchOptions
  readonly #deadlines = new Map<ActorId, Deadline>()

  constructor(options: ActorWatchOptions) {
    this.#options = options
  }

  /** Watches every actor that is already registered. */
  start(): void {
    for (const { actorId } of this.#options.projection.actors()) this.#watch(actorId, 'rest')
  }

  /** Handles a durable event. */
  observe(event: TaskEvent): void {
    if (event.type === 'actor_registered' || event.type === 'actor_heartbeat') this.#watch(event.actorId, 'whole')
    if (event.type === 'actor_deregistered') this.#forget(event.actorId)
  }

  [Symbol.dispose](): void {
    for (const actorId of this.#deadlines.keys()) this.#forget(actorId)
  }

  #watch(actorId: ActorId, part: 'whole' | 'rest'): void {
    this.#forget(actorId)
    const { projection, deadlines, times, onSilent } = this.#options
    const actor = projection.actor(actorId)
    if (actor === undefined || !projection.isActorActive(actorId)) return
    const { timeoutMultiplier } = defaultHeartbeatPolicy
    const whole = heartbeatTimeout({ intervalMs: actor.heartbeatIntervalMs, timeoutMultiplier })
    const dueAt = (actor.lastHeartbeatAtMs ?? actor.registeredAtMs) + whole
    const delay = part === 'whole' ? whole : restOf({ dueAt, whole, now: times.now() })
    const deadline = deadlines.after(delay, () => {
      this.#deadlines.delete(actorId)
      onSilent(actorId)
    })
    this.#deadlines.set(actorId, deadline)
  }

  #forget(actorId: ActorId): void {
    this.#deadlines.get(actorId)?.[Symbol.dispose]()
    this.#deadlines.delete(actorId)
  }
}
