import type { Clock } from '../../base/clock.js'
import type { Deadline, DeadlineQueue } from '../../base/deadline-queue.js'
import { defaultHeartbeatPolicy, heartbeatTimeout } from '../actor.js'
import type { TaskEvent } from '../events.js'
import type { ActorId } from '../ids.js'
import type { Timestamp } from '../scalars.js'
import type { TaskProjection } from '../view.js'

/** What the watch is built on. */
export interface ActorWatchOptions {
  readonly projection: TaskProjection
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  readonly now: () => Timestamp
  /** Called for an actor that has been silent for too long. */
  readonly onSilent: (actorId: ActorId) => void
}

/** Notices actors that have fallen silent for three heartbeat intervals; registering counts as a heartbeat (spec mutation authority 7.10). */
export class ActorWatch implements Disposable {
  readonly #options: ActorWatchOptions
  readonly #deadlines = new Map<ActorId, Deadline>()

  constructor(options: ActorWatchOptions) {
    this.#options = options
  }

  /** Watches every actor that is registered already. */
  start(): void {
    for (const { actorId } of this.#options.projection.actors()) this.#watch(actorId)
  }

  /** Takes a durable event. */
  observe(event: TaskEvent): void {
    if (event.type === 'actor_registered' || event.type === 'actor_heartbeat') this.#watch(event.actorId)
    if (event.type === 'actor_deregistered') this.#forget(event.actorId)
  }

  [Symbol.dispose](): void {
    for (const actorId of this.#deadlines.keys()) this.#forget(actorId)
  }

  #watch(actorId: ActorId): void {
    this.#forget(actorId)
    const { projection, deadlines, clock, now, onSilent } = this.#options
    const actor = projection.actor(actorId)
    if (actor === undefined || !projection.isActorActive(actorId)) return
    const { timeoutMultiplier } = defaultHeartbeatPolicy
    const silence = heartbeatTimeout({ intervalSecs: actor.heartbeatIntervalSecs, timeoutMultiplier })
    const deadAt = (actor.lastHeartbeatAt ?? actor.registeredAt) + silence
    const deadline = deadlines.after(Math.max(0, deadAt * 1000 - clock.wallNow()), () => {
      this.#deadlines.delete(actorId)
      if (now() >= deadAt) onSilent(actorId)
      else this.#watch(actorId)
    })
    this.#deadlines.set(actorId, deadline)
  }

  #forget(actorId: ActorId): void {
    this.#deadlines.get(actorId)?.[Symbol.dispose]()
    this.#deadlines.delete(actorId)
  }
}
