import type { InspectionEvent, Observer } from 'xstate'
import type { Logger } from './logger.js'
import { guardedObserver } from './observers.js'

/** Where inspection events of actors go. They carry the actors and their snapshots, which are only to be looked at. */
export type Inspect = Observer<InspectionEvent> | ((event: InspectionEvent) => void)

/**
 * The observer behind a guard, as the option of `createActor`. XState calls inspectors in the middle of a transition: what one
 * throws would break the actor.
 */
export function inspectOption(inspect: Inspect | undefined, logger: Logger): { readonly inspect?: InspectionObserver } {
  return inspect === undefined ? {} : { inspect: guardedInspect(inspect, logger) }
}

/** A guarded inspector. */
export type InspectionObserver = (event: InspectionEvent) => void

function guardedInspect(inspect: Inspect, logger: Logger): InspectionObserver {
  const next = (event: InspectionEvent): unknown =>
    typeof inspect === 'function' ? inspect(event) : inspect.next?.(event)
  return guardedObserver(next, logger, 'an inspector threw')
}

/**
 * Holds inspection events back while a change is made and passes them on, in order, when it is whole. An inspector may then
 * ask for the next change, as anybody may: it never finds a change half made, and never puts its own in the middle of one.
 */
export class HeldInspection {
  /** The option of `createActor`; nothing when nobody inspects. */
  readonly option: { readonly inspect?: InspectionObserver }
  readonly #observer: InspectionObserver | undefined
  #events: InspectionEvent[] = []
  #changes = 0
  #isTelling = false

  constructor(inspect: Inspect | undefined, logger: Logger) {
    const { inspect: observer } = inspectOption(inspect, logger)
    this.#observer = observer
    this.option = observer === undefined ? {} : { inspect: (event) => this.#take(event) }
  }

  /** Whether anybody inspects. */
  get isWatched(): boolean {
    return this.#observer !== undefined
  }

  /** Passes on an event that is none of XState's own. */
  show(event: InspectionEvent): void {
    if (this.#observer !== undefined) this.#take(event)
  }

  /** A change begins; several may stand in one another. */
  hold(): void {
    this.#changes += 1
  }

  /** The change is whole. */
  release(): void {
    this.#changes -= 1
    if (this.#changes === 0 && this.#events.length > 0) this.#tell()
  }

  #take(event: InspectionEvent): void {
    this.#events.push(event)
    if (this.#changes === 0) this.#tell()
  }

  /** What an inspector's own changes bring about is told after what it is being told. */
  #tell(): void {
    if (this.#isTelling) return
    this.#isTelling = true
    while (this.#changes === 0 && this.#events.length > 0) {
      const events = this.#events
      this.#events = []
      for (const event of events) this.#observer?.(event)
    }
    this.#isTelling = false
  }
}
