/**
 * What the inspector's page, the terminal and a recording are told, and what they may ask: plain JSON, whatever is looked at (a
 * running service, a data directory, a recording). The decoders are in `decode-protocol.ts`.
 *
 * All addresses are relative to the page, whose own ends in a slash after the secret token; so nothing else carries the token.
 *
 * | request | answer |
 * | --- | --- |
 * | `GET events` | Server-Sent Events: `event:` is the `type` of a {@link ServerMessage}, `data:` the message |
 * | `POST query` with a {@link ViewRequest} | the {@link View} of the same name |
 * | `POST action` with an {@link ActionRequest} | an {@link ActionAnswer} |
 * | `GET recording` | what the stream still holds, as lines of JSON: {@link RecordingLine} |
 *
 * Bodies are `application/json`. What is refused is answered by `{ code, message, data }` and a status of HTTP.
 *
 * The stream begins with `hello`, then come `entries`. The `id:` of `entries` is `<number>@<stream>`; a browser that reconnects
 * sends it as `Last-Event-ID` and goes on behind it (`events?after=<number>@<stream>` does the same). What is not held any more, or was dropped
 * because this viewer was slow, is a `gap` in its place. `changed` says which views are not what they were: whoever shows one asks
 * again, at the pace of its screen. All texts are text: names and values were written by strangers.
 *
 * Instants are epoch milliseconds, durations milliseconds.
 */
import type { JsonObject, JsonValue } from '../../base/json.js'

/** Version of all of this; another one is refused. */
export const inspectorProtocol = 1

/** What an {@link ItemRef} can point to. `job`: code that runs in this process, whatever its room. */
export const itemTypes = ['operation', 'task', 'run', 'process', 'job', 'daemon'] as const
export type ItemType = (typeof itemTypes)[number]

/** Something that has a history of its own. */
export interface ItemRef {
  readonly type: ItemType
  readonly id: string
  /** Of operations: ids are looked up in a session. */
  readonly session?: string
}

/** Where an item stands, in the words that all rooms share. `lost`: it was under way when its process ended. */
export const itemPhases = ['waiting', 'running', 'ending', 'completed', 'failed', 'cancelled', 'lost'] as const
export type ItemPhase = (typeof itemPhases)[number]

/** One row of a list. */
export interface ItemRow extends ItemRef {
  readonly name: string
  readonly kind: string
  readonly phase: ItemPhase
  /** In the word of its room: `provisioning`, `retry_wait`, ... */
  readonly status: string
  /** What it waits for, in words. */
  readonly waitsFor?: string
  readonly progress?: Progress
  /** Why it has failed, or what it last failed of. */
  readonly error?: string
  /** From 1, where there is more than one try. */
  readonly attempt?: number
  readonly parent?: ItemRef
  /** Who runs it: a session, a task, the owner of a lease. */
  readonly owner?: string
  readonly createdAtMs?: number
  readonly startedAtMs?: number
  readonly endedAtMs?: number
}

/** How far something says it is. */
export interface Progress {
  readonly message: string
  /** From 0 to 1. */
  readonly fraction?: number
}

/* ------------------------------------------------------------------ entries */

interface EntryBase {
  /** Place in the stream, from 1, given when it is queued. What is missing in between was dropped, and a `gap` says so. */
  readonly n: number
  readonly atMs: number
}

/** An event as it is shown. */
export interface ShownEvent {
  readonly type: string
  /** Its other fields, masked and cut; absent where values are not shown. */
  readonly data?: JsonObject
}

/** An actor of XState has started, or runs already and is introduced to whoever looks. */
export interface ActorEntry extends EntryBase {
  readonly type: 'actor'
  /** Unique in the stream. */
  readonly actor: string
  readonly name: string
  /** Id of its {@link MachineDefinition}; absent for actors that are no statecharts. */
  readonly machine?: string
  readonly parent?: string
  readonly item?: ItemRef
  /** Ids of the innermost states that it is in, as in the definition; those around them follow from `parent`. */
  readonly states: readonly string[]
  /** Masked and cut; absent where values are not shown. */
  readonly context?: JsonValue
}

/** An event came to an actor and moved it, or left it where it was. */
export interface TransitionEntry extends EntryBase {
  readonly type: 'transition'
  readonly actor: string
  readonly event: ShownEvent
  /** The actor that sent it; absent when it came from outside. */
  readonly source?: string
  /** Where the actor is now. */
  readonly states: readonly string[]
  readonly context?: JsonValue
}

/** An event was refused: nothing has changed. */
export interface RefusedEntry extends EntryBase {
  readonly type: 'refused'
  readonly actor: string
  readonly event: ShownEvent
  readonly source?: string
  /** In words, or a code. */
  readonly reason: string
}

/** An actor has ended. */
export interface EndEntry extends EntryBase {
  readonly type: 'end'
  readonly actor: string
  readonly status: 'done' | 'error' | 'stopped'
}

/** Something durable that is no actor's: an event of the log of tasks, processes or operations, or a fact of the runtime. */
export interface FactEntry extends EntryBase {
  readonly type: 'fact'
  /** Which part of the house: `operations/<session>`, `tasks`, `processes`, `journal`, `node`. */
  readonly topic: string
  /** Of the event, for instance `attempt_started`. */
  readonly name: string
  /** What it is about; the first is the subject. */
  readonly items: readonly ItemRef[]
  readonly data?: JsonObject
}

/** How an item is now; takes the place of what was told of it before. */
export interface RowEntry extends EntryBase {
  readonly type: 'row'
  readonly row: ItemRow
}

/** Entries that nobody can be shown any more: numbers `from` to `n`. */
export interface GapEntry extends EntryBase {
  readonly type: 'gap'
  readonly from: number
  /** `slow`: this viewer did not read in time. `evicted`: it came back late. `cut`: a recording is damaged or too long. */
  readonly reason: 'slow' | 'evicted' | 'cut'
}

/** One entry of the stream that an inspector shows. */
export type StreamEntry = ActorEntry | TransitionEntry | RefusedEntry | EndEntry | FactEntry | RowEntry | GapEntry

/* ------------------------------------------------------------------ messages */

/** What is looked at. */
export interface InspectedSource {
  readonly type: 'runtime' | 'directory' | 'recording'
  /** A path or a name. */
  readonly name: string
  /** Whether anything can still happen there. */
  readonly isLive: boolean
}

/** First message of each connection. */
export interface HelloMessage {
  readonly type: 'hello'
  readonly protocol: typeof inspectorProtocol
  /** Release of stateward that answers. */
  readonly release: string
  /** Of this run of the server: numbers of another stream mean nothing here. */
  readonly stream: string
  readonly source: InspectedSource
  /** Those that there are; what belongs to a room that is not there is missing. */
  readonly views: readonly ViewName[]
  /** Empty: read-only. */
  readonly actions: readonly ActionName[]
  /** Whether contexts and contents of events are shown. */
  readonly showsValues: boolean
  /** First and last number of what is held; 1 and 0 when there is nothing yet. */
  readonly oldest: number
  readonly newest: number
  readonly nowMs: number
}

/** Entries in the order of their numbers. */
export interface EntriesMessage {
  readonly type: 'entries'
  readonly entries: readonly StreamEntry[]
}

/** Once a second: the point that the plots go on with. */
export interface SampleMessage {
  readonly type: 'sample'
  readonly sample: Sample
}

/** These views are not what they were; at most four times a second. */
export interface ChangedMessage {
  readonly type: 'changed'
  readonly views: readonly ViewName[]
}

/** Nothing will follow: the runtime has closed. */
export interface ByeMessage {
  readonly type: 'bye'
  readonly reason: string
}

export type ServerMessage = HelloMessage | EntriesMessage | SampleMessage | ChangedMessage | ByeMessage

/** The state of things at an instant, as plots show it. */
export interface Sample {
  readonly atMs: number
  readonly running: number
  readonly waiting: number
  /** Since the sample before. */
  readonly started: number
  readonly ended: number
  readonly failed: number
  readonly entries: number
  readonly dropped: number
  /** Records of the journal so far; 0 without one. */
  readonly journal: number
}

/* ------------------------------------------------------------------ views */

export const viewNames = [
  'overview',
  'list',
  'item',
  'history',
  'machines',
  'machine',
  'actors',
  'entries',
  'feeds',
  'feed',
  'waits',
  'graph',
  'budgets',
  'schedules',
  'processes',
  'node',
] as const
export type ViewName = (typeof viewNames)[number]

/** The part of a long list that is asked for. */
interface Window {
  /** Default 0. */
  readonly offset?: number
  /** From 1 to 500. Default 100. */
  readonly limit?: number
}

/** A part of a long list. */
export interface Page<Row> {
  /** How many there are that fit what was asked. */
  readonly total: number
  readonly offset: number
  readonly rows: readonly Row[]
}

/** What is looked at in the past: as it was right after this entry. Only within what the stream holds, and only of what says so. */
interface PastRequest {
  readonly at?: number
}

export type ViewRequest =
  | { readonly view: 'overview' }
  | ListRequest
  | { readonly view: 'item'; readonly item: ItemRef }
  | HistoryRequest
  | { readonly view: 'machines' }
  | { readonly view: 'machine'; readonly machine: string }
  | ActorsRequest
  | EntriesRequest
  | { readonly view: 'feeds' }
  | ({ readonly view: 'feed'; readonly feed: string } & Window)
  | { readonly view: 'waits' }
  | GraphRequest
  | ({ readonly view: 'budgets' } & Window)
  | ({ readonly view: 'schedules' } & Window)
  | ({ readonly view: 'processes' } & Window)
  | { readonly view: 'node' }

/** Jobs, operations, tasks and processes. With `at` those that the stream has told of. */
export interface ListRequest extends Window, PastRequest {
  readonly view: 'list'
  /** Default: operations, tasks and processes. */
  readonly types?: readonly ItemType[]
  readonly phases?: readonly ItemPhase[]
  /** Words that must all occur, whatever their case, in name, kind, id, status, owner, error or wait. */
  readonly text?: string
  /** Default `changed`: what has changed last comes first. */
  readonly order?: 'changed' | 'name' | 'created'
}

/** What has happened to one item, from the journal where there is one, oldest first. */
export interface HistoryRequest extends Window {
  readonly view: 'history'
  readonly item: ItemRef
}

/** Actors of XState, those that ended included as long as the stream holds them. */
export interface ActorsRequest extends Window, PastRequest {
  readonly view: 'actors'
  readonly machine?: string
  readonly text?: string
}

/** A part of the stream: the last entries, or those behind a number, or before it. */
export interface EntriesRequest {
  readonly view: 'entries'
  readonly after?: number
  readonly before?: number
  /** From 1 to 500. Default 100. */
  readonly limit?: number
  /** About one actor: sent to it or by it. */
  readonly actor?: string
  readonly item?: ItemRef
  readonly text?: string
}

/** Tasks with what they wait for: those around one, or the newest. */
export interface GraphRequest {
  readonly view: 'graph'
  /** Id of a task: its ancestors, descendants, prerequisites and dependents. */
  readonly task?: string
  /** Most nodes, from 1 to 1,000. Default 200. */
  readonly limit?: number
}

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

/** A chart as a graph. */
export interface MachineDefinition {
  readonly id: string
  readonly description?: string
  /** The root first, each before what it contains, in the order of the chart. */
  readonly states: readonly StateNode[]
  readonly transitions: readonly TransitionEdge[]
}

/** A state of a chart. */
export interface StateNode {
  /** Path from the root, joined by dots; the root's is the id of the machine. */
  readonly id: string
  readonly key: string
  /** Absent at the root. */
  readonly parent?: string
  readonly type: 'atomic' | 'compound' | 'parallel' | 'final' | 'history'
  /** The child that is entered first, of `compound`. */
  readonly initial?: string
  readonly description?: string
  readonly entry: readonly string[]
  readonly exit: readonly string[]
  readonly invokes: readonly string[]
  readonly tags: readonly string[]
}

/** A transition of a chart. */
export interface TransitionEdge {
  readonly source: string
  /** Type of the event; `always` without one, `after 5000` for a time, `done(child)` and `error(child)` for what was invoked. */
  readonly event: string
  /** None: it stays, and only acts. */
  readonly targets: readonly string[]
  /** As written: `isLive`, `not(isLive)`, `and(isLive, isWhole)`. */
  readonly guard?: string
  readonly actions: readonly string[]
  readonly description?: string
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

/* ------------------------------------------------------------------ actions */

export const actionNames = ['cancel', 'terminate', 'retry', 'answer', 'pause', 'resume'] as const
export type ActionName = (typeof actionNames)[number]

/** What can be done, each through the ordinary door of its room. */
export type ActionRequest =
  /** An operation, a task, a run or a process. */
  | { readonly action: 'cancel'; readonly item: ItemRef; readonly reason?: string }
  /** An operation, at once; a process, which whoever runs it is told to give up. */
  | { readonly action: 'terminate'; readonly item: ItemRef; readonly reason?: string }
  /** A task that has failed: a new task takes its place. */
  | { readonly action: 'retry'; readonly item: ItemRef }
  /** A question of a task. */
  | { readonly action: 'answer'; readonly item: ItemRef; readonly name: string; readonly value?: JsonValue }
  /** The dispatch of tasks. */
  | { readonly action: 'pause' }
  | { readonly action: 'resume' }

/** What was done is durable. */
export interface ActionAnswer {
  readonly action: ActionName
  /** The new task of a retry. */
  readonly item?: ItemRef
}

/* ------------------------------------------------------------------ recordings */

/** First line of a recording. */
export interface RecordingHeader {
  readonly type: 'stateward.recording'
  readonly version: typeof inspectorProtocol
  readonly release: string
  readonly source: InspectedSource
  /** When it was written. */
  readonly atMs: number
}

/** A chart of which entries that follow speak. */
export interface RecordedMachine {
  readonly type: 'machine'
  readonly machine: MachineDefinition
}

/** One line of a recording: JSON text that ends with a line feed. */
export type RecordingLine = RecordingHeader | RecordedMachine | SampleMessage | StreamEntry
