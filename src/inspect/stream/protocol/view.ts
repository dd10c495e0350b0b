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

/** The whole at one glance. */
export interface OverviewView {
  readonly view: 'overview'
  readonly atMs: number
  /** When the runtime was opened, or the recording begins; absent for a directory. */
  readonly openedAtMs?: number
  /** Code that is running in this process. */
  readonly jobs: number
  readonly operations: Counts
  readonly tasks?: Counts & { readonly isPaused: boolean }
  readonly processes?: Counts
  readonly sessions: number
  readonly barriers: number
  readonly questions: number
  /** Limits on what runs, with who waits for them. */
  readonly slots: readonly SlotRow[]
  readonly stream: StreamState
  readonly journal?: JournalState
  /** What is not shown of a recording, and why, in words. */
  readonly notice?: string
  /** The last five minutes, or the whole recording; oldest first. */
  readonly samples: readonly Sample[]
}

/** How many items stand where. */
export interface Counts {
  readonly phases: Readonly<Partial<Record<ItemPhase, number>>>
  /** In the words of the room. */
  readonly statuses: Readonly<Record<string, number>>
}

/** A limit. */
export interface SlotRow {
  readonly name: string
  readonly limit: number | null
  readonly taken: number
  readonly waiting: number
}

/** How the stream is. */
export interface StreamState {
  readonly oldest: number
  readonly newest: number
  /** Entries that could not be queued for this stream at all, and those that single viewers have missed. */
  readonly dropped: number
  readonly viewers: number
  /** Fraction of the operations that are shown. */
  readonly sample: number
}

/** How the journal is. */
export interface JournalState {
  readonly status: string
  /** The sequence that its next record gets. */
  readonly nextSequence: number
  /** Records behind the newest snapshot. */
  readonly tail: number
  /** Who owns the directory, where it is read from outside. */
  readonly owner?: { readonly pid: number; readonly host: string; readonly standing: string }
  /** What the end of the log is broken by. */
  readonly brokenEnd?: string
}

/** A window of the list. */
export interface ListView extends Page<ItemRow> {
  readonly view: 'list'
}

/** One item, with what belongs to it. */
export interface ItemView {
  readonly view: 'item'
  /** `null`: nobody knows it. */
  readonly row: ItemRow | null
  /** What else there is to say, by name. */
  readonly details: JsonObject
  /** Its chart, and the innermost states that it is in. */
  readonly chart?: { readonly machine: string; readonly states: readonly string[] }
  /** Its actor, if it has one that runs. */
  readonly actor?: string
  /** Runs of a task, parts of an operation, children; the first hundred. */
  readonly children: readonly ItemRow[]
  readonly childCount: number
  /** What may be done to it now, as far as its state says. */
  readonly actions: readonly ActionName[]
}

/** One step of a history. */
export interface HistoryRow {
  /** In the journal; absent for what is not durable. */
  readonly sequence?: number
  readonly atMs?: number
  /** Of the event. */
  readonly name: string
  /** The item that it happened to, where that is a part of the one asked for. */
  readonly item?: ItemRef
  readonly data?: JsonObject
}

/** What has happened to one item. */
export interface HistoryView extends Page<HistoryRow> {
  readonly view: 'history'
  readonly from: 'journal' | 'stream'
  /** Why something is missing, in words: compacted, forgotten, beyond what the stream holds. */
  readonly notice?: string
}

/** Every chart that is known here. */
export interface MachinesView {
  readonly view: 'machines'
  readonly machines: readonly MachineRow[]
}

/** A chart in a list. */
export interface MachineRow {
  readonly id: string
  readonly states: number
  /** Actors and rows that it moves now, as far as they are counted. */
  readonly actors: number
}

/** A chart, and where those that it moves are: how many are in each innermost state. */
export interface MachineView {
  readonly view: 'machine'
  /** `null`: nobody knows it. */
  readonly machine: MachineDefinition | null
  readonly occupancy: Readonly<Record<string, number>>
}

/** An actor, or a row that a chart moves. */
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
