import type { ItemPhase, ItemRef, ItemType } from './item.js'

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

/** The requested part of a long list. */
interface Window {
  /** Default 0. */
  readonly offset?: number
  /** From 1 to 500. Default 100. */
  readonly limit?: number
}

/** Requests a past state: right after this entry. Only within the held entries, and only for views that support it. */
interface PastRequest {
  readonly at?: number
}

export type ViewRequest =
  | { readonly view: 'overview' }
  | ListRequest
  | { readonly view: 'item'; readonly item: ItemRef }
  | HistoryRequest
  | ({ readonly view: 'machines' } & PastRequest)
  | ({ readonly view: 'machine'; readonly machine: string } & PastRequest)
  | ActorsRequest
  | EntriesRequest
  | ({ readonly view: 'feeds' } & PastRequest)
  | ({ readonly view: 'feed'; readonly feed: string } & Window & PastRequest)
  | ({ readonly view: 'waits' } & PastRequest)
  | GraphRequest
  | ({ readonly view: 'budgets' } & Window & PastRequest)
  | ({ readonly view: 'schedules' } & Window)
  | ({ readonly view: 'processes' } & Window)
  | { readonly view: 'node' }

/** Jobs, operations, tasks and processes. With `at`, those that the stream has reported. */
export interface ListRequest extends Window, PastRequest {
  readonly view: 'list'
  /** Default: operations, tasks and processes. */
  readonly types?: readonly ItemType[]
  readonly phases?: readonly ItemPhase[]
  /** Words that must all occur, ignoring case, in name, kind, id, status, owner, error or wait. */
  readonly text?: string
  /** Default `changed`: the latest change first. */
  readonly order?: 'changed' | 'name' | 'created'
}

/** The history of one item, from the journal if there is one, oldest first. */
export interface HistoryRequest extends Window {
  readonly view: 'history'
  readonly item: ItemRef
}

/** XState actors, including ended ones as long as the stream holds them. */
export interface ActorsRequest extends Window, PastRequest {
  readonly view: 'actors'
  readonly machine?: string
  readonly text?: string
}

/** A part of the stream: the last entries, or those after or before a number. */
export interface EntriesRequest {
  readonly view: 'entries'
  readonly after?: number
  readonly before?: number
  /** From 1 to 500. Default 100. */
  readonly limit?: number
  /** Entries of one actor: events sent to it or by it. */
  readonly actor?: string
  readonly item?: ItemRef
  readonly text?: string
}

/** Tasks and their dependencies: those around one task, or the newest. */
export interface GraphRequest {
  readonly view: 'graph'
  /** Id of a task: its ancestors, descendants, prerequisites and dependents. */
  readonly task?: string
  /** The maximum number of nodes, from 1 to 1,000. Default 200. */
  readonly limit?: number
}
