/** What waits for one signal, behind the one listener that is on it. */
interface Waiting {
  readonly callbacks: Set<() => void>
  readonly listener: () => void
}

const waitingFor = new WeakMap<AbortSignal, Waiting>()

/**
 * Calls `callback`, which must not throw, when the signal aborts; not if it has done so already. Returns what forgets the
 * callback again, at O(1).
 *
 * There is one listener on a signal however many wait for it: Node warns of a leak at the eleventh, and finds the one to
 * remove by going through all of them.
 */
export function onAbort(signal: AbortSignal | undefined, callback: () => void): () => void {
  if (signal === undefined || signal.aborted) return () => {}
  const { callbacks, listener } = waitingFor.get(signal) ?? listenTo(signal)
  // A function of its own, so that two waits with one callback stay two.
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
