import type { JsonObject } from '../../../base/json.js'
import type { ItemRef, ItemRow } from './item.js'
import type { Page } from './page.js'

/** Completion feeds. */
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
  /** Rows up to this number are no longer kept. */
  readonly droppedThrough: number
  readonly kept: number
  readonly cursors: readonly { readonly name: string; readonly position: number }[]
}

/** The last rows of a feed, newest first. */
export interface FeedView extends Page<CompletionRow> {
  readonly view: 'feed'
  readonly feed: string
}

/** A completion. */
export interface CompletionRow {
  readonly seq: number
  readonly item: ItemRef
  readonly name: string
  readonly kind: string
  readonly outcome: string
  readonly atMs: number | null
}

/** Who waits for what; the first 500 of each list. */
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
  /** Members that have not ended; the first hundred. */
  readonly missing: readonly ItemRow[]
  readonly missingCount: number
}

/** A question of a task that has not been answered. */
export interface QuestionRow {
  readonly task: ItemRef
  readonly run: ItemRef
  /** The name of the question. */
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
  /** The item that it waits for, if it waits for one. */
  readonly on?: ItemRef
  readonly sinceMs?: number
  readonly untilMs?: number
}

/** Tasks and the links between them. */
export interface GraphView {
  readonly view: 'graph'
  readonly nodes: readonly GraphNode[]
  readonly edges: readonly GraphEdge[]
  /** The total number of tasks; larger than the number of nodes if not all are shown. */
  readonly total: number
}

/** A task in the graph. */
export interface GraphNode {
  readonly row: ItemRow
  /** Whether its dependencies allow it to start. */
  readonly gate: 'open' | 'closed' | 'failed'
  /** The last runs, newest first. */
  readonly runs: readonly { readonly id: string; readonly state: string; readonly attempt: number }[]
}

/** `to` waits for `from`, is a child of it, or retries it; ids of tasks. */
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

/** Scheduled and recurring tasks, the next first. */
export interface SchedulesView extends Page<ScheduleRow> {
  readonly view: 'schedules'
}

/** A task with a schedule. */
export interface ScheduleRow {
  readonly task: ItemRef
  readonly name: string
  readonly kind: string
  /** For instance `0 6 * * *`, or `once`. */
  readonly schedule: string
  readonly nextAtMs: number | null
  /** When its last run was due, if that is known. */
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
  /** Who waits for its end, as far as this process knows. */
  readonly waiters: readonly ItemRef[]
}

/** What this node should be doing; only if there is a node. */
export interface NodeView {
  readonly view: 'node'
  readonly name: string
  /** Further details, by name. */
  readonly details: JsonObject
  readonly daemons: readonly DaemonRow[]
  readonly maintenance: readonly NodeFact[]
  /** What cannot be shown from here, in words. */
  readonly notice?: string
  /** What was done and why, newest first. */
  readonly audit: readonly NodeFact[]
}

/** A daemon that should run, or does. */
export interface DaemonRow {
  readonly row: ItemRow
  readonly desired: string
  /** Whether it may be restarted: `idle`, `backing_off` or `crash_looping`. */
  readonly restart: string
}

/** Something that was done on the node, or is to be. */
export interface NodeFact {
  readonly name: string
  readonly atMs: number | null
  readonly status: string
  readonly data?: JsonObject
}
