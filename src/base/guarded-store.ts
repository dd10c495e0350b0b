import type {
  EventObject,
  EventPayloadMap,
  Observer,
  Readable,
  Selection,
  Store,
  StoreContext,
  Subscription,
} from '@xstate/store'
import type { Logger } from './logger.js'
import { createObserverGuard } from './observers.js'

type NextOrObserver<Value> = Observer<Value> | ((value: Value) => void)

/**
 * Guards a store against its subscribers, inspectors and selections. In an unguarded store, an exception in one of
 * them ends the notification of all others, of every other store as well, and reaches the code that made the change.
 */
export function guardStore<Context extends StoreContext, Events extends EventPayloadMap, Emitted extends EventObject>(
  store: Store<Context, Events, Emitted>,
  logger: Logger,
): Store<Context, Events, Emitted> {
  const select = store.select.bind(store)
  const inspect = store.inspect.bind(store)
  store.subscribe = guardedSubscribe(store, logger)
  store.inspect = (observer) => inspect(guardedNext(observer, logger))
  store.select = (selector, isEqual = Object.is) => guardedSelection(select, selector, isEqual, logger)
  return store
}

/** While a selector throws, its subscribers are not notified and reading it throws. */
function guardedSelection<Context, Value>(
  select: (selector: (context: Context) => Value, isEqual: (one: Value, other: Value) => boolean) => Selection<Value>,
  selector: (context: Context) => Value,
  isEqual: (one: Value, other: Value) => boolean,
  logger: Logger,
): Selection<Value> {
  const guard = createObserverGuard(logger, 'a selector of a view threw')
  let value: Value | undefined
  let fault: { readonly cause: unknown } | undefined
  const guardedSelector = (context: Context): Value => {
    fault = undefined
    try {
      value = selector(context)
    } catch (cause) {
      fault = { cause }
      guard(() => {
        throw cause
      })
    }
    return value as Value
  }
  const compare = (one: Value, other: Value): boolean => {
    let answer = false
    guard(() => (answer = isEqual(one, other)))
    return answer
  }
  const selection = select(guardedSelector, compare)
  return {
    subscribe: guardedSubscribe(selection, logger),
    get: () => {
      const selected = selection.get()
      if (fault !== undefined) throw fault.cause
      return selected
    },
  }
}

function guardedSubscribe<Value>(readable: Readable<Value>, logger: Logger): Readable<Value>['subscribe'] {
  const subscribe = readable.subscribe.bind(readable) as (observer: Observer<Value>) => Subscription
  return (observer: NextOrObserver<Value>) => subscribe(guardedNext(observer, logger))
}

function guardedNext<Value>(observer: NextOrObserver<Value>, logger: Logger): Observer<Value> {
  const guard = createObserverGuard(logger, 'a subscriber of a view threw')
  return {
    next: (value) => guard(() => (typeof observer === 'function' ? observer(value) : observer.next?.(value))),
  }
}
