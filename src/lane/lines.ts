import { defineLine } from '../base/log-lines.js'

export const journalCompacted = defineLine<{
  /** Rows of the snapshot. */
  readonly rows: number
  /** Records that opening no longer has to replay. */
  readonly records: number
  readonly durationMs: number
}>('info', 'the journal was compacted')
