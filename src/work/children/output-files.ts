import { messageOf } from '../../base/errors.js'
import type { OutputStream } from './child-process.js'
import { SegmentWriter } from './output-segments.js'

/** The files of both streams. A disk that is full is no reason to stop the child: the rest of its output is counted. */
export class OutputFiles implements Disposable {
  /** Bytes of each stream so far, those that could not be kept included. */
  readonly totals = { stdout: 0, stderr: 0 }
  readonly #writers: Readonly<Record<OutputStream, SegmentWriter>>
  #failure: string | null = null

  /** Keeps at most `limitBytes` of each stream in a directory that is there. */
  constructor(home: string, limitBytes: number) {
    this.#writers = {
      stdout: new SegmentWriter(home, 'stdout', limitBytes),
      stderr: new SegmentWriter(home, 'stderr', limitBytes),
    }
  }

  /** Why the output is kept no longer, if it is not. */
  get failure(): string | null {
    return this.#failure
  }

  /** Never fails. */
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
