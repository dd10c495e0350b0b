import type { JsonObject } from '../../../base/json.js'
import type { ActionName } from './action.js'
import type { MachineDefinition } from './chart.js'
import type { StreamEntry } from './entry.js'
import type { ItemPhase, ItemRef, ItemRow } from './item.js'
import type { Sample } from './message.js'
import type { Page } from './page.js'
import type { ViewRequest } from './request.js'
import type {
  BudgetsView,
  FeedView,
  FeedsView,
  GraphView,
  NodeView,
  ProcessesView,
  SchedulesView,
  WaitsView,
} from './room-view.js'

/** The overview. */
export interface OverviewView {
  readonly view: 'overview'
  readonly atMs: number
  /** When the runtime was opened, or the recording begins; absent for a directory. */
  readonly openedAtMs?: number
  /** Jobs that run in this process. */
  readonly jobs: number
  readonly operations: Counts
  readonly tasks?: Counts & { readonly isPaused: boolean }
  readonly processes?: Counts
  readonly sessions: number
  readonly barriers: number
  readonly questions: number
  /** Concurrency limits, with who waits for them. */
  readonly slots: readonly SlotRow[]
  readonly stream: StreamState
  readonly journal?: JournalState
  /** What is not shown of a recording, and why, in words. */
  readonly notice?: string
  /** The last five minutes, or the whole recording; oldest first. */
  readonly samples: readonly Sample[]
}

/** The number of items in each status. */
export interface Counts {
  readonly phases: Readonly<Partial<Record<ItemPhase, number>>>
  /** In the words of the room. */
  readonly statuses: Readonly<Record<string, number>>
}

/** A concurrency limit. */
export interface SlotRow {
  readonly name: string
  readonly limit: number | null
  readonly taken: number
  readonly waiting: number
}

/** The state of the stream. */
export interface StreamState {
  readonly oldest: number
  readonly newest: number
  /** Entries that could not be queued, and those that single viewers have missed. */
  readonly dropped: number
  readonly viewers: number
  /** The fraction of operations that are shown. */
  readonly sample: number
}

/** The state of the journal. */
export interface JournalState {
  readonly status: string
  /** The sequence number of its next record. */
  readonly nextSequence: number
  /** Records after the newest snapshot. */
  readonly tail: number
  /** The owner of the directory, if it is read from outside. */
  readonly owner?: { readonly pid: number; readonly host: string; readonly standing: string }
  /** What is wrong at the end of the log. */
  readonly brokenEnd?: string
}

/** A window of the list. */
export interface ListView extends Page<ItemRow> {
  readonly view: 'list'
}

/** One item, with related items. */
export interface ItemView {
  readonly view: 'item'
  /** `null` if the item is unknown. */
  readonly row: ItemRow | null
  /** Further details, by name. */
  readonly details: JsonObject
  /** Its chart, and its innermost active states. */
  readonly chart?: { readonly machine: string; readonly states: readonly string[] }
  /** Its actor, if one is running. */
  readonly actor?: string
  /** Runs of a task, parts of an operation, children; the first hundred. */
  readonly children: readonly ItemRow[]
  readonly childCount: number
  /** The actions that its state allows now. */
  readonly actions: readonly ActionName[]
}

/** One step of a history. */
export interface HistoryRow {
  /** Sequence number in the journal; absent for what is not durable. */
  readonly sequence?: number
  readonly atMs?: number
  /** The name of the event. */
  readonly name: string
  /** The item that it happened to, if that is a part of the requested one. */
  readonly item?: ItemRef
  readonly data?: JsonObject
}

/** The history of one item. */
export interface HistoryView extends Page<HistoryRow> {
  readonly view: 'history'
  readonly from: 'journal' | 'stream'
  /** Why something is missing, in words: compacted, forgotten, beyond what the stream holds. */
  readonly notice?: string
}

/** Every known chart. */
export interface MachinesView {
  readonly view: 'machines'
  readonly machines: readonly MachineRow[]
}

/** A chart in a list. */
export interface MachineRow {
  readonly id: string
  readonly states: number
  /** The number of actors and rows in it now, as far as they are counted. */
  readonly actors: number
}

/** A chart, and the number of items in each of its innermost states. */
export interface MachineView {
  readonly view: 'machine'
  /** `null` if the chart is unknown. */
  readonly machine: MachineDefinition | null
  readonly occupancy: Readonly<Record<string, number>>
}

/** An actor, or a row with a chart. */
export interface ActorRow {
  readonly actor: string
  readonly name: string
  readonly machine?: string
  readonly parent?: string
  readonly item?: ItemRef
  readonly states: readonly string[]
  readonly status: 'active' | 'done' | 'error' | 'stopped'
  /** Number of the last entry about it. */
  readonly changedAt: number
}

/** A window of the actors. */
export interface ActorsView extends Page<ActorRow> {
  readonly view: 'actors'
}

/** A part of the stream. */
export interface EntriesView {
  readonly view: 'entries'
  readonly entries: readonly StreamEntry[]
  readonly oldest: number
  readonly newest: number
}

export type View =
  | OverviewView
  | ListView
  | ItemView
  | HistoryView
  | MachinesView
  | MachineView
  | ActorsView
  | EntriesView
  | FeedsView
  | FeedView
  | WaitsView
  | GraphView
  | BudgetsView
  | SchedulesView
  | ProcessesView
  | NodeView

/** The view that answers a request. */
export type ViewOf<Request extends ViewRequest> = Extract<View, { readonly view: Request['view'] }>
