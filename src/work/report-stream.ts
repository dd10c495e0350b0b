import { FeedGapError, SequencedFeed } from '../base/feed.js'
import type { JobProgress } from './job-list.js'

/** What running work tells whoever follows it. */
export type Report =
  | ({ readonly type: 'progress' } & JobProgress)
  | { readonly type: 'output'; readonly text: string }
  /** The reader was too slow, or came too late: so many reports are gone. */
  | { readonly type: 'gap'; readonly missed: number }

/** A report as it is kept. */
type KeptReport = Exclude<Report, { readonly type: 'gap' }>
interface Row {
  readonly seq: number
  readonly report: KeptReport
}

/** How many reports are kept for readers. */
export const keptReports = 256
/** The longest text of one report of output, in UTF-16 units; what is longer becomes several. */
export const longestOutput = 8_192

/**
 * The reports of one piece of running work: bounded, so that no reader can hold up the work or fill the memory. Each reader
 * begins with the oldest report that is kept and reads at its own pace. Reports that were dropped before it came to them are
 * told as a gap.
 *
 *     for await (const report of handle.progress) if (report.type === 'output') process.stdout.write(report.text)
 */
export class ReportStream implements AsyncIterable<Report> {
  readonly #feed = new SequencedFeed<Row>(keptReports)

  /** Tells how far the work is. */
  progress({ message, fraction }: JobProgress): void {
    this.#push({ type: 'progress', message, ...(fraction !== undefined && { fraction }) })
  }

  /** Tells something that the work puts out. */
  output(text: string): void {
    for (let start = 0; start < text.length; start += longestOutput) {
      this.#push({ type: 'output', text: text.slice(start, start + longestOutput) })
    }
  }

  /** Nothing follows: readers end once they have read what is kept. */
  close(): void {
    this.#feed.close()
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Report> {
    return new ReportReader(this.#feed)
  }

  #push(report: KeptReport): void {
    this.#feed.push({ seq: this.#feed.watermark() + 1, report })
  }
}

/** One reader; leaving it settles at once, also while it waits. */
class ReportReader implements AsyncIterableIterator<Report> {
  readonly #feed: SequencedFeed<Row>
  readonly #left = new AbortController()
  #rows: AsyncIterableIterator<Row>
  #after = 0

  constructor(feed: SequencedFeed<Row>) {
    this.#feed = feed
    this.#rows = this.#read()
  }

  async next(): Promise<IteratorResult<Report, undefined>> {
    try {
      const { done, value } = await this.#rows.next()
      if (done === true) return { done, value: undefined }
      this.#after = value.seq
      return { done: false, value: value.report }
    } catch (gap) {
      if (this.#left.signal.aborted) return { done: true, value: undefined }
      if (!(gap instanceof FeedGapError)) throw gap
      const { droppedThrough } = gap.data
      const missed = droppedThrough - this.#after
      this.#after = droppedThrough
      this.#rows = this.#read()
      return { done: false, value: Object.freeze({ type: 'gap', missed }) }
    }
  }

  async return(): Promise<IteratorResult<Report, undefined>> {
    // A reader who leaves does not wait for a report that may never come.
    this.#left.abort()
    return { done: true, value: undefined }
  }

  #read(): AsyncIterableIterator<Row> {
    return this.#feed.entries({ after: this.#after, signal: this.#left.signal })
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
