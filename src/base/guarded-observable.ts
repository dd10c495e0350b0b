import { Observable, Subscriber, type Observer, type Operator, type Subscription } from 'rxjs'
import type { Logger } from './logger.js'
import { createObserverGuard } from './observers.js'

/** An observer in the making: RxJS takes `null` for what is missing. */
interface Consumer<Value> {
  next?: ((value: Value) => void) | null | undefined
  error?: ((error: unknown) => void) | null | undefined
  complete?: (() => void) | null | undefined
}

/**
 * An RxJS stream whose consumers cannot end the process: RxJS throws what a consumer throws, and an error that none of its
 * handlers takes, where nobody catches it. Here both go to the logger, also behind operators.
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
    // An operator's own end: what it is given reaches a consumer that is guarded.
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
