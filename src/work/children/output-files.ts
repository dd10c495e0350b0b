import { messageOf } from '../../base/errors.js'
import type { OutputStream } from './child-process.js'
import { SegmentWriter } from './output-segments.js'

/** The files of both output streams. A full disk does not stop the child: the rest of its output is only counted. */
export class OutputFiles implements Disposable {
  /** Bytes of each stream so far, including those that could not be written. */
  readonly totals = { stdout: 0, stderr: 0 }
  readonly #writers: Readonly<Record<OutputStream, SegmentWriter>>
  #failure: string | null = null

  /** Keeps at most `limitBytes` of each stream. The directory must exist. */
  constructor(home: string, limitBytes: number) {
    this.#writers = {
      stdout: new SegmentWriter(home, 'stdout', limitBytes),
      stderr: new SegmentWriter(home, 'stderr', limitBytes),
    }
  }

  /** Why output is no longer written, or null. */
  get failure(): string | null {
    return this.#failure
  }

  /** Never throws. */
  write(bytes: Buffer, stream: OutputStream): void {
    this.totals[stream] += bytes.length
    if (this.#failure !== null) return
    try {
      this.#writers[stream].write(bytes)
    } catch (error) {
      this.#failure = messageOf(error)
    }
  }

  [Symbol.dispose](): void {
    for (const writer of Object.values(this.#writers)) writer[Symbol.dispose]()
  }
}
