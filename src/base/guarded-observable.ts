import { Observable, Subscriber, type Observer, type Operator, type Subscription } from 'rxjs'
import type { Logger } from './logger.js'
import { createObserverGuard } from './observers.js'

/** The parts of an observer. RxJS uses `null` for missing ones. */
interface Consumer<Value> {
  next?: ((value: Value) => void) | null | undefined
  error?: ((error: unknown) => void) | null | undefined
  complete?: (() => void) | null | undefined
}

/**
 * An RxJS stream whose consumers cannot crash the process. RxJS throws a consumer's exceptions and unhandled errors
 * where nothing can catch them; here both are logged, behind operators as well.
 */
export class GuardedObservable<Value> extends Observable<Value> {
  readonly #logger: Logger

  constructor(logger: Logger, subscribe?: (subscriber: Subscriber<Value>) => void) {
    super(subscribe)
    this.#logger = logger
  }

  override lift<Result>(operator?: Operator<Value, Result>): Observable<Result> {
    const lifted = new GuardedObservable<Result>(this.#logger)
    lifted.source = this
    lifted.operator = operator
    return lifted
  }

  override subscribe(
    observerOrNext?: Partial<Observer<Value>> | ((value: Value) => void) | null,
    error?: ((error: unknown) => void) | null,
    complete?: (() => void) | null,
  ): Subscription {
    // The subscriber of an operator. What it passes on reaches a consumer that is guarded itself.
    if (observerOrNext instanceof Subscriber) return super.subscribe(observerOrNext)
    const observer: Consumer<Value> =
      typeof observerOrNext === 'object' && observerOrNext !== null
        ? observerOrNext
        : { next: observerOrNext, error, complete }
    const guard = createObserverGuard(this.#logger, 'a consumer of a stream threw')
    const unhandled = createObserverGuard(this.#logger, 'a stream ended with an error that no consumer handles')
    return super.subscribe({
      next: (value) => guard(() => observer.next?.(value)),
      error: (cause: unknown) => {
        if (typeof observer.error === 'function') return guard(() => observer.error?.(cause))
        unhandled(() => {
          throw cause
        })
      },
      complete: () => guard(() => observer.complete?.()),
    })
  }
}
