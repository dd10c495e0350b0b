import type { BudgetRow, FeedRow, QuestionRow } from './room-view.js'

/** What the stream tells of besides actors and items. */
export const partNames = ['feed', 'barrier', 'question', 'budget'] as const
export type PartName = (typeof partNames)[number]

/** The current row of a part; replaces its previous row. `null`: it is over. */
export type Part =
  | { readonly part: 'feed'; readonly key: string; readonly row: FeedRow | null }
  | { readonly part: 'barrier'; readonly key: string; readonly row: OpenBarrier | null }
  | { readonly part: 'question'; readonly key: string; readonly row: QuestionRow | null }
  | { readonly part: 'budget'; readonly key: string; readonly row: BudgetRow | null }

/** A wait for all of several operations, told once: who is missing follows from the rows of the operations. */
export interface OpenBarrier {
  readonly id: string
  readonly session: string
  readonly turnId: string
  readonly members: number
  /** The operations that had not ended when it was told; the first 5,000. */
  readonly operations: readonly string[]
  /** How many more there were. */
  readonly unlisted: number
}
