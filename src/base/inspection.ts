import type { AnyActorRef, InspectionEvent, Observer, Subscription } from 'xstate'
import { messageOf } from './errors.js'
import { silentLogger, type Logger } from './logger.js'
import { guardedObserver } from './observers.js'

/** Where inspection events of actors go. They carry the actors and their snapshots, which are only to be looked at. */
export type Inspect = Observer<InspectionEvent> | ((event: InspectionEvent) => void)

/** A guarded inspector. */
export type InspectionObserver = (event: InspectionEvent) => void

/**
 * Where the actors of a runtime can be looked at: by an observer that is given from the start, and by viewers that come and go.
 * Nobody pays for viewers before one is there: XState makes no events for nobody.
 *
 * It is an `Inspect` itself, so that it goes wherever an observer goes; whoever makes a root actor gives it `inspectOption` and
 * then hands it to `followRoot`.
 */
export class Inspection {
  /** The observer that was given, behind its guard. */
  readonly observer: InspectionObserver | undefined
  readonly #logger: Logger
  readonly #viewers = new Set<InspectionObserver>()
  readonly #roots = new Map<AnyActorRef, FollowedRoot>()

  constructor(inspect?: Inspect, logger: Logger = silentLogger) {
    this.observer = inspect === undefined ? undefined : guardedInspect(inspect, logger)
    this.#logger = logger
  }

  /** Whether anybody looks. */
  get isWatched(): boolean {
    return this.observer !== undefined || this.#viewers.size > 0
  }

  /** Tells the observer that was given. */
  readonly next = (event: InspectionEvent): void => this.observer?.(event)

  /** Tells the viewers that are there. */
  readonly tellViewers = (event: InspectionEvent): void => {
    for (const viewer of this.#viewers) viewer(event)
  }

  /** Root actors that run, those of operations, turns, jobs and engines among them. */
  get roots(): Iterable<AnyActorRef> {
    return this.#roots.keys()
  }

  /**
   * Shows viewers what happens in the system of a root actor until it has stopped; call it before the actor is started, or right
   * after. What they see goes through `via`.
   */
  follow(root: AnyActorRef, via: InspectionObserver = this.tellViewers): void {
    const followed: FollowedRoot = { via, subscription: undefined }
    this.#roots.set(root, followed)
    if (this.#viewers.size > 0) attach(root, followed)
    root.subscribe({
      complete: () => this.#roots.delete(root),
      // Its owner hears of it as well; without a listener of ours XState would throw it once more, at nobody.
      error: (error) => {
        this.#roots.delete(root)
        this.#logger.debug({ error: messageOf(error) }, 'an actor broke that an inspector follows')
      },
    })
  }

  /** Tells a viewer of everything from now on, until the handle is disposed. What it throws is logged once. */
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

/** Whether anybody looks now. */
export function isWatched(inspect: Inspect | undefined): boolean {
  return inspect instanceof Inspection ? inspect.isWatched : inspect !== undefined
}

/** Lets viewers follow a root actor; nothing where there can be none. */
export function followRoot(inspect: Inspect | undefined, root: AnyActorRef): void {
  if (inspect instanceof Inspection) inspect.follow(root)
}

/**
 * The observer behind a guard, as the option of `createActor`. XState calls inspectors in the middle of a transition: what one
 * throws would break the actor.
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

/** An event on its way to whom it is for. */
interface HeldEvent {
  readonly event: InspectionEvent
  readonly observer: InspectionObserver
}

/**
 * Holds inspection events back while a change is made and passes them on, in order, when it is whole. An inspector may then
 * ask for the next change, as anybody may: it never finds a change half made, and never puts its own in the middle of one.
 */
export class HeldInspection {
  /** The option of `createActor`; nothing when no observer was given. */
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

  /** Whether anybody inspects. */
  get isWatched(): boolean {
    return this.#inspection?.isWatched ?? this.#observer !== undefined
  }

  /** Lets viewers follow the root actor whose changes are held here. */
  follow(root: AnyActorRef): void {
    const inspection = this.#inspection
    inspection?.follow(root, (event) => this.#take({ event, observer: inspection.tellViewers }))
  }

  /** Passes on an event that is none of XState's own. */
  show(event: InspectionEvent): void {
    if (this.#observer !== undefined) this.#take({ event, observer: this.#observer })
    if (this.#inspection !== undefined) this.#take({ event, observer: this.#inspection.tellViewers })
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

  #take(held: HeldEvent): void {
    this.#events.push(held)
    if (this.#changes === 0) this.#tell()
  }

  /** What an inspector's own changes bring about is told after what it is being told. */
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
