import type { ActionName } from './action.js'
import type { StreamEntry } from './entry.js'
import type { ViewName } from './request.js'
import type { inspectorProtocol } from './version.js'

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
