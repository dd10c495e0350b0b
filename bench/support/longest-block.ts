import { clearInterval, setInterval } from 'node:timers'

/** Milliseconds between two firings of the timer that watches. */
const period = 1

/**
 * The longest time for which a timer is kept from firing while nothing is done, in milliseconds: what the machine, busy
 * with other work, adds to every such figure.
 */
export async function longestBlockOfMachine(milliseconds: number): Promise<number> {
  const { longestBlockMs } = await longestBlockOf(() => new Promise((resolve) => setTimeout(resolve, milliseconds)))
  return longestBlockMs
}

/** The longest time for which a timer was kept from firing while `work` went on, in milliseconds, and what came of the work. */
export async function longestBlockOf<Value>(
  work: () => Promise<Value>,
): Promise<{ readonly longestBlockMs: number; readonly milliseconds: number; readonly value: Value }> {
  let longest = 0
  let last = performance.now()
  const look = (): void => {
    const now = performance.now()
    longest = Math.max(longest, now - last - period)
    last = now
  }
  const timer = setInterval(look, period)
  try {
    // The first firing of a timer comes late.
    await new Promise((resolve) => setTimeout(resolve, 20))
    longest = 0
    const start = performance.now()
    const value = await work()
    const milliseconds = performance.now() - start
    look()
    return { longestBlockMs: longest, milliseconds, value }
  } finally {
    clearInterval(timer)
  }
}
