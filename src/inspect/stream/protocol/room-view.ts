import type { JsonObject } from '../../../base/json.js'
import type { ItemRef, ItemRow } from './item.js'
import type { Page } from './page.js'

/** Feeds of ends. */
export interface FeedsView {
  readonly view: 'feeds'
  readonly feeds: readonly FeedRow[]
}

/** A feed, and how far each of its readers is. */
export interface FeedRow {
  /** `session:<name>` or `tasks`. */
  readonly feed: string
  readonly epochId?: string
  /** Number of the last row. */
  readonly watermark: number
  /** Rows up to this number are not kept any more. */
  readonly droppedThrough: number
  readonly kept: number
  readonly cursors: readonly { readonly name: string; readonly position: number }[]
}

/** The last rows of a feed, newest first. */
export interface FeedView extends Page<CompletionRow> {
  readonly view: 'feed'
  readonly feed: string
}

/** An end. */
export interface CompletionRow {
  readonly seq: number
  readonly item: ItemRef
  readonly name: string
  readonly kind: string
  readonly outcome: string
  readonly atMs: number | null
}

/** Who waits for what. Of each list the first 500. */
export interface WaitsView {
  readonly view: 'waits'
  readonly barriers: Page<BarrierRow>
  readonly questions: Page<QuestionRow>
  readonly waits: Page<WaitRow>
}

/** A wait for all of several operations. */
export interface BarrierRow {
  readonly id: string
  readonly session: string
  readonly turnId: string
  readonly members: number
  /** Those that have not ended; the first hundred. */
  readonly missing: readonly ItemRow[]
  readonly missingCount: number
}

/** What a handler asks and nobody has answered. */
export interface QuestionRow {
  readonly task: ItemRef
  readonly run: ItemRef
  /** Of what is asked. */
  readonly name: string
  readonly taskName: string
  readonly kind: string
  readonly description?: string
  readonly whom?: string
  readonly askedAtMs: number
  readonly untilMs?: number
}

/** A run or process that waits. */
export interface WaitRow {
  readonly item: ItemRef
  readonly name: string
  readonly waitsFor: string
  /** What it waits for, if that is an item. */
  readonly on?: ItemRef
  readonly sinceMs?: number
  readonly untilMs?: number
}

/** Tasks and what stands between them. */
export interface GraphView {
  readonly view: 'graph'
  readonly nodes: readonly GraphNode[]
  readonly edges: readonly GraphEdge[]
  /** How many tasks there are; more than the nodes when not all are shown. */
  readonly total: number
}

/** A task in the graph. */
export interface GraphNode {
  readonly row: ItemRow
  /** What lets it begin. */
  readonly gate: 'open' | 'closed' | 'failed'
  /** The last runs, newest first. */
  readonly runs: readonly { readonly id: string; readonly state: string; readonly attempt: number }[]
}

/** `to` waits for `from`, is a child of it, or tries it again; ids of tasks. */
export interface GraphEdge {
  readonly from: string
  readonly to: string
  readonly type: 'needs' | 'after' | 'child' | 'retry'
}

/** Budgets, the most used first. */
export interface BudgetsView extends Page<BudgetRow> {
  readonly view: 'budgets'
}

/** A budget of a task. */
export interface BudgetRow {
  readonly task: ItemRef
  readonly name: string
  readonly dimension: string
  readonly limit: number
  readonly consumed: number
  readonly reserved: number
  readonly isExhausted: boolean
}

/** What comes again, or later; the next first. */
export interface SchedulesView extends Page<ScheduleRow> {
  readonly view: 'schedules'
}

/** A task that comes at its time. */
export interface ScheduleRow {
  readonly task: ItemRef
  readonly name: string
  readonly kind: string
  /** For instance `0 6 * * *`, or `once`. */
  readonly schedule: string
  readonly nextAtMs: number | null
  /** When it was last to begin, as far as that is known. */
  readonly lastAtMs?: number
}

/** Processes, with leases and waiters. */
export interface ProcessesView extends Page<ProcessRow> {
  readonly view: 'processes'
}

/** A process. */
export interface ProcessRow {
  readonly row: ItemRow
  readonly lease?: { readonly owner: string; readonly token: number; readonly expiresAtMs: number }
  readonly waitsFor?: string
  /** Who waits for its end, as far as it is known here. */
  readonly waiters: readonly ItemRef[]
}

/** What this node should be doing; only where there is one. */
export interface NodeView {
  readonly view: 'node'
  readonly name: string
  /** What else there is to say, by name. */
  readonly details: JsonObject
  readonly daemons: readonly DaemonRow[]
  readonly maintenance: readonly NodeFact[]
  /** What cannot be seen of it from here, in words. */
  readonly notice?: string
  /** What was done and why, newest first. */
  readonly audit: readonly NodeFact[]
}

/** A daemon that is to run, or does. */
export interface DaemonRow {
  readonly row: ItemRow
  readonly desired: string
  /** Whether it may be started again: `idle`, `backing_off` or `crash_looping`. */
  readonly restart: string
}

/** Something that was done on the node, or is to be. */
export interface NodeFact {
  readonly name: string
  readonly atMs: number | null
  readonly status: string
  readonly data?: JsonObject
}
