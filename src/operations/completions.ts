import { FeedGapError, type FeedBatch } from '../base/feed.js'
import { portSchema } from '../base/options.js'
import type { OperationsSystem } from './system.js'
import type { CompletionEntry } from './types.js'

/** The part of a registry that a consumer of completions needs: the feed, the wake classes and the cursors. */
export type CompletionAuthority = Pick<
  OperationsSystem,
  'completionFeed' | 'completionCursor' | 'advanceCompletionCursor' | 'classifyCompletionWake'
>

/** Accepts a registry or any object with the same methods. */
export const authoritySchema = portSchema<CompletionAuthority>([
  'completionFeed',
  'completionCursor',
  'advanceCompletionCursor',
  'classifyCompletionWake',
])

/** The rows after a cursor; `wakes` are those that wake an idle runtime. */
export interface CompletionBatch extends FeedBatch<CompletionEntry> {
  readonly wakes: readonly CompletionEntry[]
}

/**
 * Reads the feed once. Throws `feed_gap` rather than skip rows that were never read (O-72). If the registry's cursor is
 * ahead of the feed (O-73), the batch is empty.
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
