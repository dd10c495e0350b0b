import type { Clock } from '../../base/clock.js'

/** The two clocks of the tasks room. They differ only after the wall clock was set back. */
export interface TaskClock {
  /** Time of commands, in epoch milliseconds: never runs backwards, so no change predates an earlier one. */
  readonly now: () => number
  /** Time of the calendar, in epoch milliseconds: follows the wall clock wherever it is set. */
  readonly wall: () => number
}

/** Creates the clocks of a process. */
export function createTaskClock(clock: Clock): TaskClock {
  let latest = 0
  const wall = (): number => Math.floor(clock.wallNow())
  const now = (): number => {
    latest = Math.max(latest, wall())
    return latest
  }
  return { now, wall }
}

/** The rest of a delay by the wall clock, for a process that did not see it begin: from 0 to the whole delay. */
export function restOf({
  dueAt,
  whole,
  now,
}: {
  readonly dueAt: number
  readonly whole: number
  readonly now: number
}): number {
  return Math.max(0, Math.min(dueAt - now, whole))
}
