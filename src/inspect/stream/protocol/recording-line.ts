import type { MachineDefinition } from './chart.js'
import type { StreamEntry } from './entry.js'
import type { InspectedSource, SampleMessage } from './message.js'
import type { inspectorProtocol } from './version.js'

/** The first line of a recording. */
export interface RecordingHeader {
  readonly type: 'stateward.recording'
  readonly version: typeof inspectorProtocol
  readonly release: string
  readonly source: InspectedSource
  /** When it was written. */
  readonly atMs: number
}

/** A chart that later entries refer to. */
export interface RecordedMachine {
  readonly type: 'machine'
  readonly machine: MachineDefinition
}

/** One line of a recording: JSON text that ends with a line feed. */
export type RecordingLine = RecordingHeader | RecordedMachine | SampleMessage | StreamEntry
