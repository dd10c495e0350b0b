import type { ActionName } from './action.js'
import type { StreamEntry } from './entry.js'
import type { ViewName } from './request.js'
import type { inspectorProtocol } from './version.js'

/** The source that is inspected. */
export interface InspectedSource {
  readonly type: 'runtime' | 'directory' | 'recording'
  /** A path or a name. */
  readonly name: string
  /** Whether it can still change. */
  readonly isLive: boolean
}

/** The first message of each connection; sent again when what it says of the source or its views has changed. */
export interface HelloMessage {
  readonly type: 'hello'
  readonly protocol: typeof inspectorProtocol
  /** The release of stateward that serves it. */
  readonly release: string
  /** Identifies this run of the server: numbers of another stream have no meaning here. */
  readonly stream: string
  readonly source: InspectedSource
  /** The available views; those of missing rooms are left out. */
  readonly views: readonly ViewName[]
  /** Empty if it is read-only. */
  readonly actions: readonly ActionName[]
  /** Whether contexts and contents of events are shown. */
  readonly showsValues: boolean
  /** The first entry whose time can be shown, and the last one; 1 and 0 when there are none yet. */
  readonly oldest: number
  readonly newest: number
  readonly nowMs: number
}

/** Entries in the order of their numbers. */
export interface EntriesMessage {
  readonly type: 'entries'
  /** The number of the first entry whose time can still be shown. */
  readonly oldest: number
  readonly entries: readonly StreamEntry[]
}

/** The next point of the plots, once a second. */
export interface SampleMessage {
  readonly type: 'sample'
  readonly sample: Sample
}

/** These views have changed; sent at most four times a second. */
export interface ChangedMessage {
  readonly type: 'changed'
  readonly views: readonly ViewName[]
}

/** The last message: the runtime has closed. */
export interface ByeMessage {
  readonly type: 'bye'
  readonly reason: string
}

export type ServerMessage = HelloMessage | EntriesMessage | SampleMessage | ChangedMessage | ByeMessage

/** A measurement at one instant, for the plots. */
export interface Sample {
  readonly atMs: number
  readonly running: number
  readonly waiting: number
  /** Since the previous sample. */
  readonly started: number
  readonly ended: number
  readonly failed: number
  readonly entries: number
  readonly dropped: number
  /** Records of the journal so far; 0 without one. */
  readonly journal: number
}
