import { signal } from '@preact/signals'

/** Epoch milliseconds, once a second: for what says how long something takes. */
export const now = signal(Date.now())

function tick(): void {
  now.value = Date.now()
  setTimeout(tick, 1_000)
}
setTimeout(tick, 1_000)
