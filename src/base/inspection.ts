import type { AnyActorRef, InspectionEvent, Observer, Subscription } from 'xstate'
import { messageOf } from './errors.js'
import { silentLogger, type Logger } from './logger.js'
import { guardedObserver } from './observers.js'

/**
 * Receives the inspection events of actors. The events contain the actors and their snapshots; read them, but do not
 * change them.
 */
export type Inspect = Observer<InspectionEvent> | ((event: InspectionEvent) => void)

/** A guarded inspector. */
export type InspectionObserver = (event: InspectionEvent) => void

/**
 * Lets the actors of a runtime be inspected, by an observer given at the start and by viewers that come and go.
 * Without viewers there is no cost: XState creates no events that nobody receives.
 *
 * It is an `Inspect` itself, so it can be passed wherever an observer can. Code that creates a root actor passes it
 * to `inspectOption` and then to `followRoot`.
 */
export class Inspection {
  /** The observer given at the start, guarded. */
  readonly observer: InspectionObserver | undefined
  readonly #logger: Logger
  readonly #viewers = new Set<InspectionObserver>()
  readonly #roots = new Map<AnyActorRef, FollowedRoot>()

  constructor(inspect?: Inspect, logger: Logger = silentLogger) {
    this.observer = inspect === undefined ? undefined : guardedInspect(inspect, logger)
    this.#logger = logger
  }

  /** Whether there is an observer or a viewer. */
  get isWatched(): boolean {
    return this.observer !== undefined || this.#viewers.size > 0
  }

  /** Passes an event to the observer given at the start. */
  readonly next = (event: InspectionEvent): void => this.observer?.(event)

  /** Passes an event to the current viewers. */
  readonly tellViewers = (event: InspectionEvent): void => {
    for (const viewer of this.#viewers) viewer(event)
  }

  /** The running root actors, those of operations, turns, jobs and engines included. */
  get roots(): Iterable<AnyActorRef> {
    return this.#roots.keys()
  }

  /**
   * Shows viewers the system of a root actor until the actor stops. Call it before the actor is started or right
   * after. Events are passed through `via`.
   */
  follow(root: AnyActorRef, via: InspectionObserver = this.tellViewers): void {
    const followed: FollowedRoot = { via, subscription: undefined }
    this.#roots.set(root, followed)
    if (this.#viewers.size > 0) attach(root, followed)
    root.subscribe({
      complete: () => this.#roots.delete(root),
      // The actor's owner gets the error as well. Without a listener here, XState would rethrow it where nothing
      // catches it.
      error: (error) => {
        this.#roots.delete(root)
        this.#logger.debug({ error: messageOf(error) }, 'an inspected actor has failed')
      },
    })
  }

  /**
   * Passes every event from now on to a viewer, until the handle is disposed. The first exception of the viewer is
   * logged.
   */
  watch(viewer: InspectionObserver): Disposable {
    const guarded = guardedInspect(viewer, this.#logger)
    this.#viewers.add(guarded)
    if (this.#viewers.size === 1) this.#attachAll()
    return {
      [Symbol.dispose]: () => {
        if (this.#viewers.delete(guarded) && this.#viewers.size === 0) this.#detachAll()
      },
    }
  }

  #attachAll(): void {
    for (const [root, followed] of this.#roots) attach(root, followed)
  }

  #detachAll(): void {
    for (const followed of this.#roots.values()) {
      followed.subscription?.unsubscribe()
      followed.subscription = undefined
    }
  }
}

interface FollowedRoot {
  readonly via: InspectionObserver
  subscription: Subscription | undefined
}

function attach(root: AnyActorRef, followed: FollowedRoot): void {
  followed.subscription = root.system.inspect(followed.via)
}

/** Whether anything inspects now. */
export function isWatched(inspect: Inspect | undefined): boolean {
  return inspect instanceof Inspection ? inspect.isWatched : inspect !== undefined
}

/** Lets viewers follow a root actor. Does nothing unless `inspect` is an {@link Inspection}. */
export function followRoot(inspect: Inspect | undefined, root: AnyActorRef): void {
  if (inspect instanceof Inspection) inspect.follow(root)
}

/**
 * A guarded observer as the option of `createActor`. XState calls inspectors in the middle of a transition, so an
 * exception of theirs would break the actor.
 */
export function inspectOption(inspect: Inspect | undefined, logger: Logger): { readonly inspect?: InspectionObserver } {
  const observer = observerOf(inspect, logger)
  return observer === undefined ? {} : { inspect: observer }
}

function observerOf(inspect: Inspect | undefined, logger: Logger): InspectionObserver | undefined {
  if (inspect === undefined) return undefined
  return inspect instanceof Inspection ? inspect.observer : guardedInspect(inspect, logger)
}

function guardedInspect(inspect: Inspect, logger: Logger): InspectionObserver {
  const next = (event: InspectionEvent): unknown =>
    typeof inspect === 'function' ? inspect(event) : inspect.next?.(event)
  return guardedObserver(next, logger, 'an inspector threw')
}

/** An event waiting to be passed to its observer. */
interface HeldEvent {
  readonly event: InspectionEvent
  readonly observer: InspectionObserver
}

/**
 * Holds inspection events back while a change is made, and passes them on in order when it is complete. An inspector
 * may request the next change from inside: it never sees a change half made, and never interrupts one.
 */
export class HeldInspection {
  /** The option of `createActor`; empty when there is no observer. */
  readonly option: { readonly inspect?: InspectionObserver }
  readonly #observer: InspectionObserver | undefined
  readonly #inspection: Inspection | undefined
  #events: HeldEvent[] = []
  #changes = 0
  #isTelling = false

  constructor(inspect: Inspect | undefined, logger: Logger) {
    const observer = observerOf(inspect, logger)
    this.#observer = observer
    this.#inspection = inspect instanceof Inspection ? inspect : undefined
    this.option = observer === undefined ? {} : { inspect: (event) => this.#take({ event, observer }) }
  }

  /** Whether anything inspects now. */
  get isWatched(): boolean {
    return this.#inspection?.isWatched ?? this.#observer !== undefined
  }

  /** Lets viewers follow a root actor whose events are held here. */
  follow(root: AnyActorRef): void {
    const inspection = this.#inspection
    inspection?.follow(root, (event) => this.#take({ event, observer: inspection.tellViewers }))
  }

  /** Passes on an event that does not come from XState. */
  show(event: InspectionEvent): void {
    if (this.#observer !== undefined) this.#take({ event, observer: this.#observer })
    if (this.#inspection !== undefined) this.#take({ event, observer: this.#inspection.tellViewers })
  }

  /** Begins a change. Changes may be nested. */
  hold(): void {
    this.#changes += 1
  }

  /** Ends a change. */
  release(): void {
    this.#changes -= 1
    if (this.#changes === 0 && this.#events.length > 0) this.#tell()
  }

  #take(held: HeldEvent): void {
    this.#events.push(held)
    if (this.#changes === 0) this.#tell()
  }

  /** Events caused by an inspector's own changes are passed on after the event that it is handling. */
  #tell(): void {
    if (this.#isTelling) return
    this.#isTelling = true
    while (this.#changes === 0 && this.#events.length > 0) {
      const events = this.#events
      this.#events = []
      for (const { event, observer } of events) observer(event)
    }
    this.#isTelling = false
  }
}
