import type { Clock, TimeoutHandle } from '../../base/clock.js'
import type { InspectionStream } from '../stream/inspection-stream.js'
import type { Sample } from '../stream/protocol.js'

const samplePauseMs = 1000
const firstSampleMs = 250
/** The maximum number of samples for plots: five minutes. */
const mostSamples = 300

/** Options of a {@link Sampler}. */
export interface SamplerOptions {
  readonly clock: Clock
  readonly stream: InspectionStream
  /** The number of records in the journal so far. */
  readonly journalPosition: () => number
  readonly onSample: (sample: Sample) => void
}

/** Measures a stream once a second, for the plots. */
export class Sampler {
  /** The last five minutes, oldest first. */
  readonly samples: Sample[] = []
  readonly #options: SamplerOptions
  #timer: TimeoutHandle
  /** The counters at the previous sample. */
  #before = { started: 0, ended: 0, failed: 0, entries: 0, dropped: 0 }

  constructor(options: SamplerOptions) {
    this.#options = options
  }

  /** Begins with a short delay, in which the existing items are published. */
  start(): void {
    this.#timer = this.#options.clock.setTimeout(() => this.#take(), firstSampleMs)
  }

  stop(): void {
    if (this.#timer !== undefined) this.#options.clock.clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #take(): void {
    const { clock, stream, journalPosition, onSample } = this.#options
    const { started, ended, failed } = stream.known.rows.flow
    const now = { started, ended, failed, entries: stream.ring.newest, dropped: stream.dropped }
    const before = this.#before
    this.#before = now
    const sample: Sample = {
      atMs: Math.trunc(clock.wallNow()),
      ...stream.known.rows.standing(),
      started: now.started - before.started,
      ended: now.ended - before.ended,
      failed: now.failed - before.failed,
      entries: now.entries - before.entries,
      dropped: now.dropped - before.dropped,
      journal: journalPosition(),
    }
    this.samples.push(sample)
    if (this.samples.length > mostSamples) this.samples.shift()
    this.#timer = clock.setTimeout(() => this.#take(), samplePauseMs)
    onSample(sample)
  }
}
