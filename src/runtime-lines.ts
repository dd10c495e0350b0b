import { defineLine } from './base/log-lines.js'
import type { JournalCut } from './journal/journal.js'

export const runtimeOpened = defineLine<{
  readonly dataDir?: string
  /** Where the inspector is served. */
  readonly inspector?: string
  readonly durationMs: number
  readonly sessions: number
  /** Operations that ran when the process before ended. */
  readonly lostOperations: number
  readonly tasks: number
  /** Runs that have not ended. */
  readonly openRuns: number
  /** What was cut from the end of the journal. */
  readonly cut?: JournalCut
}>('info', 'the runtime is open')

export const journalReopened = defineLine<object>('info', 'the journal was reopened')

export const runtimeClosing = defineLine<{
  readonly policy: 'retire' | 'terminate'
  readonly graceMs: number
  readonly reason: string
  /** What runs, of any room. */
  readonly jobs: number
}>('info', 'the runtime is closing')

export const runtimeClosed = defineLine<{
  readonly durationMs: number
  /** Code that did not end in time. */
  readonly leftBehind: number
}>('info', 'the runtime is closed')
