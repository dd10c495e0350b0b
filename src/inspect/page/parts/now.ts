import { signal } from '@preact/signals'

/** Epoch milliseconds, once a second: for what says how long something takes. */
export const now = signal(Date.now())
setInterval(() => (now.value = Date.now()), 1_000)
