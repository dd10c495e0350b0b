import type { CrashBackoff, MonotonicMs } from './node-vocabulary.js'

/** What is remembered of the crashes of one daemon. */
export interface CrashHistory {
  /** Crashes that still count, oldest first. */
  readonly crashes: readonly MonotonicMs[]
  /** What the next crash costs; the first delay when absent. */
  readonly nextDelayMs: number | undefined
  readonly lastStarted: MonotonicMs | undefined
}

/** No crash is remembered. */
export const cleanHistory: CrashHistory = Object.freeze({
  crashes: Object.freeze([]) as readonly MonotonicMs[],
  nextDelayMs: undefined,
  lastStarted: undefined,
})

/** The crashes that count at the instant of another one, which is among them. */
export function crashesWith(
  { crashes }: CrashHistory,
  at: MonotonicMs,
  { crashLoopWindowMs }: CrashBackoff,
): readonly MonotonicMs[] {
  return [...crashes.filter((crash) => crash >= at - crashLoopWindowMs), at]
}

/** Whether a crash makes a crash loop. */
export function isCrashLoop(history: CrashHistory, at: MonotonicMs, backoff: CrashBackoff): boolean {
  return crashesWith(history, at, backoff).length >= backoff.crashLoopThreshold
}

/** How long a crash that makes no loop puts off the next start. */
export function delayOf({ nextDelayMs }: CrashHistory, { initialMs }: CrashBackoff): number {
  return nextDelayMs ?? initialMs
}

/** The history after such a crash: the next one costs more. */
export function afterCrash(history: CrashHistory, at: MonotonicMs, backoff: CrashBackoff): CrashHistory {
  const nextDelayMs = Math.min(delayOf(history, backoff) * backoff.factor, backoff.maxMs)
  return { crashes: crashesWith(history, at, backoff), nextDelayMs, lastStarted: history.lastStarted }
}

/** The history after a crash that makes a loop: what follows it begins with the first delay again. */
export function afterCrashLoop(history: CrashHistory, at: MonotonicMs, backoff: CrashBackoff): CrashHistory {
  return { crashes: crashesWith(history, at, backoff), nextDelayMs: undefined, lastStarted: history.lastStarted }
}

/** The history after a start, or an exit without fault: forgotten when the run before was stable. */
export function afterRun(
  history: CrashHistory,
  at: MonotonicMs,
  { stableRunMs }: CrashBackoff,
  lastStarted = history.lastStarted,
): CrashHistory {
  const isStable = history.lastStarted !== undefined && at - history.lastStarted >= stableRunMs
  return { ...(isStable ? cleanHistory : history), lastStarted }
}
