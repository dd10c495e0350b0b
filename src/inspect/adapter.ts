import type { StatelyInspectionEvent } from './protocol.js'

/** Whether an adapter takes events: nobody listens, the other end is slow, or all is well. */
export type AdapterState = 'disconnected' | 'busy' | 'ready'

/** Where events leave the process. The adapters of `@statelyai/inspect` fit; they count as always ready. */
export interface InspectorAdapter {
  /** Absent means `ready`. Events are sent only while it is. */
  readonly state?: AdapterState
  /** Begins to connect; calls `onChange` after each change of `state`. */
  start?(onChange: () => void): void
  send(event: StatelyInspectionEvent): void
  /** Lets go of the connection; nothing is sent afterwards. */
  stop?(): void | Promise<void>
}
