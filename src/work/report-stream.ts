import { FeedGapError, SequencedFeed } from '../base/feed.js'
import type { JobProgress } from './job-list.js'

/** A report of running work to its readers. */
export type Report =
  | ({ readonly type: 'progress' } & JobProgress)
  | { readonly type: 'output'; readonly text: string }
  /** The reader was too slow or came too late: this many reports are missing. */
  | { readonly type: 'gap'; readonly missed: number }

/** A report as it is stored. */
type KeptReport = Exclude<Report, { readonly type: 'gap' }>
interface Row {
  readonly seq: number
  readonly report: KeptReport
}

/** How many reports are kept for readers. */
export const keptReports = 256
/** Maximum length of one report of output, in UTF-16 units. Longer output is split into several reports. */
export const longestOutput = 8_192

/**
 * The reports of one piece of running work. The buffer is bounded, so readers can neither delay the work nor fill the
 * memory. Each reader begins with the oldest kept report and reads at its own pace. Reports that were dropped before
 * it read them appear as a gap.
 *
 *     for await (const report of handle.progress) if (report.type === 'output') process.stdout.write(report.text)
 */
export class ReportStream implements AsyncIterable<Report> {
  readonly #feed = new SequencedFeed<Row>(keptReports)

  /** Reports progress of the work. */
  progress({ message, fraction }: JobProgress): void {
    this.#push({ type: 'progress', message, ...(fraction !== undefined && { fraction }) })
  }

  /** Reports output of the work. */
  output(text: string): void {
    for (let start = 0; start < text.length; start += longestOutput) {
      this.#push({ type: 'output', text: text.slice(start, start + longestOutput) })
    }
  }

  /** Ends the stream: readers end once they have read the kept reports. */
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

/** One reader. Leaving it settles at once, even while it waits. */
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
    // A reader that leaves must not wait for a report that may never come.
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
