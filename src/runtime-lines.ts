import { defineLine } from './base/log-lines.js'
import type { JournalCut } from './journal/journal.js'

export const runtimeOpened = defineLine<{
  readonly dataDir?: string
  /** The address of the inspector. */
  readonly inspector?: string
  readonly durationMs: number
  readonly sessions: number
  /** Operations that were running when the previous process ended. */
  readonly lostOperations: number
  readonly tasks: number
  /** Runs that have not ended. */
  readonly openRuns: number
  /** The records that were cut from the end of the journal. */
  readonly cut?: JournalCut
}>('info', 'the runtime is open')

export const journalReopened = defineLine<object>('info', 'the journal was reopened')

export const runtimeClosing = defineLine<{
  readonly policy: 'retire' | 'terminate'
  readonly graceMs: number
  readonly reason: string
  /** The number of running jobs of any kind. */
  readonly jobs: number
}>('info', 'the runtime is closing')

export const runtimeClosed = defineLine<{
  readonly durationMs: number
  /** The number of jobs whose code did not end in time. */
  readonly leftBehind: number
}>('info', 'the runtime is closed')
