import { clearInterval, setInterval } from 'node:timers'

/** Milliseconds between two firings of the timer that watches. */
const period = 1

/** How long at once nobody else had a turn, in milliseconds. */
export interface Block {
  /** By the clock: on a busy machine also the time in which other processes ran. */
  readonly longestBlockMs: number
  /** The same in processor time of this process: at most that long, whatever else the machine does. */
  readonly longestBusyMs: number
  /** How long the work took. */
  readonly milliseconds: number
}

/** What the machine adds to every such figure: the longest time for which a timer is late while nothing is done. */
export async function longestBlockOfMachine(milliseconds: number): Promise<number> {
  const { longestBlockMs } = await longestBlockOf(() => new Promise((resolve) => setTimeout(resolve, milliseconds)))
  return longestBlockMs
}

/** The longest time for which a timer is kept from firing while `work` goes on, and what comes of the work. */
export async function longestBlockOf<Value>(work: () => Promise<Value>): Promise<Block & { readonly value: Value }> {
  let longestBlockMs = 0
  let longestBusyMs = 0
  let last = performance.now()
  let lastBusy = processorMs()
  const look = (): void => {
    const now = performance.now()
    const busy = processorMs()
    longestBlockMs = Math.max(longestBlockMs, now - last - period)
    longestBusyMs = Math.max(longestBusyMs, Math.min(now - last - period, busy - lastBusy))
    last = now
    lastBusy = busy
  }
  const timer = setInterval(look, period)
  try {
    // The first firing of a timer comes late.
    await new Promise((resolve) => setTimeout(resolve, 20))
    longestBlockMs = 0
    longestBusyMs = 0
    const start = performance.now()
    const value = await work()
    const milliseconds = performance.now() - start
    look()
    return { longestBlockMs, longestBusyMs, milliseconds, value }
  } finally {
    clearInterval(timer)
  }
}

function processorMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
