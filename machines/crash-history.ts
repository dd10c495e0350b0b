import type { CrashBackoff, MonotonicMs } from './node-vocabulary.js'

/** The remembered crashes of one daemon. */
export interface CrashHistory {
  /** Crashes that still count, oldest first. */
  readonly crashes: readonly MonotonicMs[]
  /** Delay of the next start after the next crash, in milliseconds; the initial delay if absent. */
  readonly nextDelayMs: number | undefined
  readonly lastStarted: MonotonicMs | undefined
}

/** A history without crashes. */
export const cleanHistory: CrashHistory = Object.freeze({
  crashes: Object.freeze([]) as readonly MonotonicMs[],
  nextDelayMs: undefined,
  lastStarted: undefined,
})

/** The crashes that count at the instant of a new one, including the new one. */
export function crashesWith(
  { crashes }: CrashHistory,
  at: MonotonicMs,
  { crashLoopWindowMs }: CrashBackoff,
): readonly MonotonicMs[] {
  return [...crashes.filter((crash) => crash >= at - crashLoopWindowMs), at]
}

/** Whether a new crash makes a crash loop. */
export function isCrashLoop(history: CrashHistory, at: MonotonicMs, backoff: CrashBackoff): boolean {
  return crashesWith(history, at, backoff).length >= backoff.crashLoopThreshold
}

/** Milliseconds by which a crash that makes no loop delays the next start. */
export function delayOf({ nextDelayMs }: CrashHistory, { initialMs }: CrashBackoff): number {
  return nextDelayMs ?? initialMs
}

/** The history after such a crash. The next delay is longer. */
export function afterCrash(history: CrashHistory, at: MonotonicMs, backoff: CrashBackoff): CrashHistory {
  const nextDelayMs = Math.min(delayOf(history, backoff) * backoff.factor, backoff.maxMs)
  return { crashes: crashesWith(history, at, backoff), nextDelayMs, lastStarted: history.lastStarted }
}

/** The history after a crash that makes a loop. The next delay is the initial one again. */
export function afterCrashLoop(history: CrashHistory, at: MonotonicMs, backoff: CrashBackoff): CrashHistory {
  return { crashes: crashesWith(history, at, backoff), nextDelayMs: undefined, lastStarted: history.lastStarted }
}

/** The history after a start or a clean exit. Crashes are forgotten if the run before was stable. */
export function afterRun(
  history: CrashHistory,
  at: MonotonicMs,
  { stableRunMs }: CrashBackoff,
  lastStarted = history.lastStarted,
): CrashHistory {
  const isStable = history.lastStarted !== undefined && at - history.lastStarted >= stableRunMs
  return { ...(isStable ? cleanHistory : history), lastStarted }
}
