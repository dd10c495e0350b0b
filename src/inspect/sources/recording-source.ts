import type { Clock } from '../../base/clock.js'
import { silence } from '../../base/promises.js'
import { decodeRecordingLine } from '../stream/decode-protocol.js'
import { InspectionStream } from '../stream/inspection-stream.js'
import type { KnownState } from '../stream/known-state.js'
import { MachineTable } from '../stream/machine-table.js'
import type {
  ActionAnswer,
  ActionRequest,
  EntriesRequest,
  EntriesView,
  HistoryRequest,
  HistoryRow,
  HistoryView,
  OverviewView,
  StreamEntry,
  View,
  ViewName,
  ViewRequest,
} from '../stream/protocol.js'
import { pageOf } from '../views/pages.js'
import { pastBudgets, pastFeeds, pastWaits } from '../views/past.js'
import {
  entriesPerPlace,
  indexRecording,
  linesOf,
  pieceSize,
  type Checkpoint,
  type RecordingFile,
  type RecordingIndex,
} from './recording-index.js'
import { hasWords, isAbout, wordsIn } from './entry-search.js'
import { readOnly, viewUnknown } from './refusals.js'
import { StreamSource } from './stream-source.js'

/** How a recording is read. */
export interface RecordingSourceOptions {
  /** Closed with the source. */
  readonly file: RecordingFile
  /** The release of this package. */
  readonly release: string
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Called from time to time with the number of bytes read so far. */
  readonly onRead?: (bytes: number) => void
}

const views: readonly ViewName[] = [
  'overview',
  'list',
  'item',
  'history',
  'machines',
  'machine',
  'actors',
  'entries',
  'feeds',
  'waits',
  'budgets',
]

/** How many of the latest entries are sent over the stream; the others can be requested. */
const mostStreamed = 1000
/** The maximum number of entries read for one request. */
const mostRead = 200_000
/** The maximum number of steps shown of a history. */
const mostHistory = 10_000

/** A recording, shown as of its end, or as of any requested entry. */
export class RecordingSource extends StreamSource {
  readonly #file: RecordingFile
  readonly #index: RecordingIndex
  /** The last past state that was requested; the next request is usually close to it. */
  #past: Checkpoint | undefined

  private constructor(own: RecordingSourceOptions, index: RecordingIndex, machines: MachineTable) {
    const { clock, file, release } = own
    super({
      clock,
      release,
      stream: new InspectionStream({ clock, capacity: mostStreamed }),
      machines,
      source: { type: 'recording', name: file.name, isLive: false },
      views,
      actions: [],
      showsValues: true,
    })
    this.#file = file
    this.#index = index
    this.samples.push(...index.samples)
  }

  /** Opens a recording. Rejects like {@link indexRecording}. */
  static async open(own: RecordingSourceOptions): Promise<RecordingSource> {
    const machines = new MachineTable()
    try {
      const index = await indexRecording(own.file, machines, own.signal, own.onRead)
      const source = new RecordingSource(own, index, machines)
      await source.#fill()
      source.close(index.notice ?? 'this is a recording: nothing more will come')
      return source
    } catch (error) {
      await own.file[Symbol.asyncDispose]()
      throw error
    }
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]()
    await this.#file[Symbol.asyncDispose]()
  }

  act({ action }: ActionRequest): Promise<ActionAnswer> {
    return silence(Promise.reject(readOnly(action)))
  }

  override async *recording(): AsyncGenerator<Uint8Array> {
    const { size } = this.#index
    for (let at = 0; at < size; ) {
      const piece = await this.#file.read(at, Math.min(pieceSize, size - at))
      if (piece.length === 0) return
      at += piece.length
      yield piece
    }
  }

  protected override get oldestEntry(): number {
    return Math.min(1, this.#index.entryCount)
  }

  protected override begin(): void {}
  protected override end(): void {}

  protected override journalPosition(): number {
    return 0
  }

  protected override get known(): KnownState {
    return this.#index.end.known
  }

  protected override async knownAfter(number: number): Promise<KnownState> {
    const { checkpoints, entryCount, end } = this.#index
    const wanted = Math.min(number, entryCount)
    if (wanted === entryCount) return end.known
    if (this.#past?.n === wanted) return this.#past.known
    const candidates = this.#past === undefined ? checkpoints : [...checkpoints, this.#past]
    const from = candidates.filter(({ n }) => n <= wanted).sort((one, other) => other.n - one.n)[0]
    const known = from === undefined ? end.known.empty() : from.known.copy()
    for await (const entry of this.#entries((from?.n ?? 0) + 1, wanted)) known.take(entry)
    this.#past = { n: wanted, known }
    return known
  }

  protected override async entriesView(request: EntriesRequest): Promise<EntriesView> {
    const { after, before, limit = 100, actor, item, text } = request
    const { entryCount: newest } = this.#index
    const words = wordsIn(text)
    const found: StreamEntry[] = []
    const isFound = (entry: StreamEntry): boolean =>
      isAbout(entry, actor, item?.id) && (words.length === 0 || hasWords(JSON.stringify(entry), words))
    if (after !== undefined) {
      const last = Math.min(newest, after + mostRead, before === undefined ? newest : before - 1)
      for await (const entry of this.#entries(after + 1, last)) {
        if (isFound(entry)) found.push(entry)
        if (found.length === limit) break
      }
    } else {
      const last = Math.min(newest, before === undefined ? newest : before - 1)
      // Reads backwards from one remembered position to the next, until there are enough.
      for (let to = last, read = 0; to > 0 && found.length < limit && read < mostRead; ) {
        const from = Math.floor((to - 1) / entriesPerPlace) * entriesPerPlace + 1
        const part: StreamEntry[] = []
        for await (const entry of this.#entries(from, to)) if (isFound(entry)) part.push(entry)
        found.unshift(...part.slice(-(limit - found.length)))
        read += to - from + 1
        to = from - 1
      }
    }
    return { view: 'entries', entries: found, oldest: this.oldestEntry, newest }
  }

  protected override async otherView(request: ViewRequest): Promise<View> {
    switch (request.view) {
      case 'overview':
        return this.#overview()
      case 'feeds':
        return pastFeeds(this.known)
      case 'waits':
        return pastWaits(this.known)
      case 'budgets':
        return pastBudgets(this.known, request)
      case 'history':
        return this.#history(request)
      case 'item': {
        const row = this.known.rows.row(request.item) ?? null
        return { view: 'item', row, details: {}, children: [], childCount: 0, actions: [] }
      }
      default:
        throw viewUnknown(request.view)
    }
  }

  async #history(request: HistoryRequest): Promise<HistoryView> {
    const { item } = request
    const rows: HistoryRow[] = []
    const { entryCount } = this.#index
    const from = Math.max(1, entryCount - mostRead + 1)
    for await (const entry of this.#entries(from, entryCount)) {
      if (entry.type !== 'fact' || !entry.items.some(({ type, id }) => type === item.type && id === item.id)) continue
      rows.push({ atMs: entry.atMs, name: entry.name, ...(entry.data !== undefined && { data: entry.data }) })
      if (rows.length > mostHistory) rows.shift()
    }
    const notice = from > 1 ? `only the last ${mostRead} entries were looked through` : undefined
    return { view: 'history', from: 'stream', ...pageOf(rows, request), ...(notice !== undefined && { notice }) }
  }

  #overview(): OverviewView {
    const { header, samples, entryCount, notice } = this.#index
    const { known } = this
    return {
      view: 'overview',
      atMs: Math.trunc(header.atMs),
      ...(samples[0] !== undefined && { openedAtMs: samples[0].atMs }),
      jobs: 0,
      operations: known.rows.counts('operation'),
      tasks: { ...known.rows.counts('task'), isPaused: false },
      processes: known.rows.counts('process'),
      sessions: 0,
      barriers: [...known.parts.rows('barrier')].length,
      questions: [...known.parts.rows('question')].length,
      slots: [],
      stream: { oldest: Math.min(1, entryCount), newest: entryCount, dropped: 0, viewers: this.viewerCount, sample: 1 },
      samples,
      ...(notice !== undefined && { notice }),
    }
  }

  /** Publishes the end of the recording over the stream, for the first viewer. */
  async #fill(): Promise<void> {
    const { entryCount } = this.#index
    const { stream } = this.options
    const from = Math.max(1, entryCount - mostStreamed + 1)
    stream.ring.beginAt(from)
    for await (const entry of this.#entries(from, entryCount)) stream.ring.push(entry, JSON.stringify(entry))
  }

  /** Reads the entries with these numbers again. */
  async *#entries(from: number, to: number): AsyncGenerator<StreamEntry> {
    const { places, size } = this.#index
    const place = Math.floor((from - 1) / entriesPerPlace)
    const start = places[place]
    if (start === undefined || from > to) return
    let n = place * entriesPerPlace
    for await (const { bytes } of linesOf(this.#file, start, size)) {
      const entry = entryIn(bytes, n + 1)
      if (entry === undefined) continue
      n += 1
      if (n > to) return
      if (n >= from) yield entry
    }
  }
}

function entryIn(bytes: Uint8Array | undefined, n: number): StreamEntry | undefined {
  if (bytes === undefined) return undefined
  try {
    const line = decodeRecordingLine(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)))
    return line.type === 'machine' || line.type === 'sample' ? undefined : { ...line, n }
  } catch {
    // It was left out in the first pass, too.
    return undefined
  }
}
