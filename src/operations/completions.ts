import { FeedGapError, type FeedBatch } from '../base/feed.js'
import { portSchema } from '../base/options.js'
import type { OperationsSystem } from './system.js'
import type { CompletionEntry } from './types.js'

/** What a consumer of completions needs of a registry: the rows, their classes and the cursors. */
export type CompletionAuthority = Pick<
  OperationsSystem,
  'completionFeed' | 'completionCursor' | 'advanceCompletionCursor' | 'classifyCompletionWake'
>

/** Accepts a registry, or what stands in for one. */
export const authoritySchema = portSchema<CompletionAuthority>([
  'completionFeed',
  'completionCursor',
  'advanceCompletionCursor',
  'classifyCompletionWake',
])

/** Rows after a cursor, and those of them that are worth waking for. */
export interface CompletionBatch extends FeedBatch<CompletionEntry> {
  readonly wakes: readonly CompletionEntry[]
}

/**
 * Reads the feed once. Throws `feed_gap` instead of skipping rows nobody saw (O-72). A cursor of the
 * registry may run ahead of the feed (O-73): there is nothing to read then.
 */
export function completionsAfter(operations: CompletionAuthority, cursor: number): CompletionBatch {
  const feed = operations.completionFeed()
  const gap = feed.gapAfter(cursor)
  if (gap !== undefined && gap.requestedAfterSeq <= gap.watermark) throw new FeedGapError(gap)
  const batch = feed.since(cursor)
  const wakes = batch.entries.filter(
    ({ operationId, kind }) => operations.classifyCompletionWake(operationId, kind) === 'wake',
  )
  return { ...batch, wakes }
}
