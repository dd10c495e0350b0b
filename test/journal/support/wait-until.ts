import { setImmediate as nextTurn } from 'node:timers/promises'

/** Lets the event loop turn until something holds; the timeout of the test ends what never does. */
export async function waitUntil(holds: () => boolean): Promise<void> {
  while (!holds()) await nextTurn()
}
