import type { StatelyInspectionEvent } from './protocol.js'

/** Whether an adapter accepts events: nobody is connected, the receiver is slow, or it is ready. */
export type AdapterState = 'disconnected' | 'busy' | 'ready'

/** Sends events out of the process. The adapters of `@statelyai/inspect` fit; they count as always ready. */
export interface InspectorAdapter {
  /** Events are sent only while it is `ready`. Absent means `ready`. */
  readonly state?: AdapterState
  /** Starts connecting; calls `onChange` after each change of `state`. */
  start?(onChange: () => void): void
  send(event: StatelyInspectionEvent): void
  /** Closes the connection; nothing is sent afterwards. */
  stop?(): void | Promise<void>
}
