import { signal } from '@preact/signals'

/** The current time in epoch milliseconds, updated once a second: for ages and durations. */
export const now = signal(Date.now())

function tick(): void {
  now.value = Date.now()
  setTimeout(tick, 1_000)
}
setTimeout(tick, 1_000)
