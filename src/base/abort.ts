/** The callbacks that wait for one signal, behind the single listener registered on it. */
interface Waiting {
  readonly callbacks: Set<() => void>
  readonly listener: () => void
}

const waitingFor = new WeakMap<AbortSignal, Waiting>()

/**
 * Calls `callback`, which must not throw, when the signal aborts; never for a signal that has aborted already.
 * Returns a function that removes the callback at a cost of O(1).
 *
 * A signal gets one listener, however many callbacks wait for it. Node warns of a leak at the eleventh listener, and
 * searches all of them to remove one.
 */
export function onAbort(signal: AbortSignal | undefined, callback: () => void): () => void {
  if (signal === undefined || signal.aborted) return () => {}
  const { callbacks, listener } = waitingFor.get(signal) ?? listenTo(signal)
  // A new function each time, so that two waits with the same callback stay separate.
  const entry = (): void => callback()
  callbacks.add(entry)
  return () => {
    if (!callbacks.delete(entry) || callbacks.size > 0) return
    waitingFor.delete(signal)
    signal.removeEventListener('abort', listener)
  }
}

function listenTo(signal: AbortSignal): Waiting {
  const callbacks = new Set<() => void>()
  const listener = (): void => {
    waitingFor.delete(signal)
    const called = [...callbacks]
    callbacks.clear()
    for (const callback of called) callback()
  }
  const waiting = { callbacks, listener }
  waitingFor.set(signal, waiting)
  signal.addEventListener('abort', listener, { once: true })
  return waiting
}
