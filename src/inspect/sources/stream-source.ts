import type { Clock } from '../../base/clock.js'
import { nextTurn } from '../../base/promises.js'
import type { RingPart } from '../stream/entry-ring.js'
import type { InspectionStream } from '../stream/inspection-stream.js'
import type { KnownState } from '../stream/known-state.js'
import type { MachineTable } from '../stream/machine-table.js'
import {
  inspectorProtocol,
  type ActionAnswer,
  type ActionName,
  type ActionRequest,
  type ActorsRequest,
  type ActorsView,
  type EntriesRequest,
  type EntriesView,
  type GapEntry,
  type HelloMessage,
  type InspectedSource,
  type ListRequest,
  type ListView,
  type MachinesView,
  type MachineView,
  type RecordingLine,
  type Sample,
  type ServerMessage,
  type View,
  type ViewName,
  type ViewRequest,
} from '../stream/protocol.js'
import { pageOf } from '../views/pages.js'
import { pastBudgets, pastFeeds, pastWaits } from '../views/past.js'
import { hasWords, searchEntries, wordsIn } from './entry-search.js'
import { Presence } from './presence.js'
import { viewUnknown } from './refusals.js'
import { Sampler } from './sampler.js'
import type { InspectorSource, SourceMessage } from './source.js'
import { Viewers } from './viewers.js'

/** Options of a {@link StreamSource}. */
export interface StreamSourceOptions {
  readonly clock: Clock
  /** The release of this package. */
  readonly release: string
  readonly stream: InspectionStream
  readonly machines: MachineTable
  readonly source: InspectedSource
  readonly views: readonly ViewName[]
  readonly actions: readonly ActionName[]
  readonly showsValues: boolean
  /** How long after its disconnection the last viewer still counts as present, in milliseconds. */
  readonly lingerMs?: number
}

/** The maximum size of a message, in entries and in UTF-16 units. */
const mostOfMessage = { entries: 500, characters: 256 * 1024 }
/** How many earlier entries a new viewer is shown. */
const firstEntries = 1000

const utf8 = new TextEncoder()

const defaultLingerMs = 30_000

/**
 * Publishes a stream to viewers, and answers the views that need only the stream: the list, the actors, the charts, and
 * the past. The stream is fed only while there are viewers.
 */
export abstract class StreamSource implements InspectorSource {
  protected readonly options: StreamSourceOptions
  readonly #viewers: Viewers
  readonly #presence: Presence
  readonly #sampler: Sampler
  #goodbye: string | undefined

  constructor(options: StreamSourceOptions) {
    this.options = options
    const { clock, stream, lingerMs = defaultLingerMs } = options
    this.#viewers = new Viewers(clock)
    this.#sampler = new Sampler({
      clock,
      stream,
      journalPosition: () => this.journalPosition(),
      onSample: (sample) => this.#viewers.sample(sample),
    })
    this.#presence = new Presence({
      clock,
      lingerMs,
      onBegin: () => {
        this.begin()
        this.#sampler.start()
      },
      onEnd: () => {
        this.#viewers.stop()
        this.#sampler.stop()
        this.end()
      },
    })
    stream.onEntry(() => this.#viewers.tellEntries())
  }

  /** The first viewer has come. */
  protected abstract begin(): void
  /** The last viewer has left. */
  protected abstract end(): void
  /** Resolves when what existed before the first viewer came is in the stream. */
  protected told(): Promise<unknown> {
    return Promise.resolve()
  }

  /** The number of records in the journal so far. */
  protected abstract journalPosition(): number
  /** Answers a view that needs more than the stream; for the past with what was known then. */
  protected abstract otherView(request: ViewRequest, then: KnownState | undefined): Promise<View>
  abstract act(request: ActionRequest): Promise<ActionAnswer>

  get viewerCount(): number {
    return this.#viewers.size
  }

  /** What is inspected. */
  protected get source(): InspectedSource {
    return this.options.source
  }

  /** The views that it has. */
  protected get views(): readonly ViewName[] {
    return this.options.views
  }

  /** What was measured for the plots, oldest first. */
  protected get samples(): Sample[] {
    return this.#sampler.samples
  }

  async *follow(after: string | undefined, signal: AbortSignal): AsyncGenerator<SourceMessage> {
    const { stream } = this.options
    const leave = this.#presence.come()
    const viewer = this.#viewers.enter()
    try {
      let last = this.#startOf(after)
      while (!signal.aborted) {
        if (viewer.takeGreeting()) yield messageOf(this.#hello())
        const part = stream.ring.after(last, mostOfMessage)
        if (part.texts.length > 0 || part.lostFrom !== undefined) {
          last = part.last
          yield { type: 'entries', id: `${last}@${stream.id}`, json: this.#entriesText(part, after) }
        }
        for (const sample of viewer.takeSamples()) yield messageOf({ type: 'sample', sample })
        const views = viewer.takeChanged()
        if (views.length > 0) yield messageOf({ type: 'changed', views })
        if (stream.ring.newest > last) {
          // Gives others a turn between two messages, however fast the viewer reads.
          await nextTurn()
          continue
        }
        if (this.#goodbye !== undefined) {
          yield messageOf({ type: 'bye', reason: this.#goodbye })
          return
        }
        await viewer.woken(signal)
      }
    } finally {
      this.#viewers.leave(viewer)
      leave()
    }
  }

  async view(request: ViewRequest): Promise<View> {
    if (!this.views.includes(request.view)) throw viewUnknown(request.view)
    const leave = this.#presence.come()
    try {
      const then = 'at' in request && request.at !== undefined ? await this.knownAfter(request.at) : undefined
      switch (request.view) {
        case 'list':
          return this.listView(request, then)
        case 'machines':
          return this.#machinesView(then)
        case 'machine':
          return this.#machineView(request.machine, then)
        case 'actors':
          return actorsView(then ?? this.known, request)
        case 'entries':
          return await this.entriesView(request)
        case 'feeds':
          return then === undefined ? await this.otherView(request, then) : pastFeeds(then)
        case 'waits':
          return then === undefined ? await this.otherView(request, then) : pastWaits(then)
        case 'budgets':
          return then === undefined ? await this.otherView(request, then) : pastBudgets(then, request)
        default:
          return await this.otherView(request, then)
      }
    } finally {
      leave()
    }
  }

  async *recording(): AsyncGenerator<Uint8Array> {
    const { stream, machines, clock, release } = this.options
    const leave = this.#presence.come()
    try {
      await this.told()
      yield lineOf({
        type: 'stateward.recording',
        version: inspectorProtocol,
        release,
        source: this.source,
        atMs: clock.wallNow(),
      })
      for (const id of machines.ids) {
        const machine = machines.graph(id)
        if (machine !== undefined) yield lineOf({ type: 'machine', machine })
      }
      for (const sample of this.samples) yield lineOf({ type: 'sample', sample })
      // What goes on since before the first entry that is held is a part of the recording, too.
      const before = [...stream.before()]
      const { newest, oldest } = stream.ring
      for (let from = 0; from < before.length; from += mostOfMessage.entries) {
        yield linesOf(before.slice(from, from + mostOfMessage.entries).map((entry) => JSON.stringify(entry)))
        await nextTurn()
      }
      for (let last = oldest - 1; last < newest; ) {
        const { texts, last: next } = stream.ring.after(last, mostOfMessage)
        if (texts.length === 0) break
        yield linesOf(texts)
        last = next
        await nextTurn()
      }
    } finally {
      leave()
    }
  }

  /** Ends the stream: viewers are told why, and disconnected. */
  close(reason: string): void {
    this.#goodbye ??= reason
    this.#presence.close()
    this.#viewers.wake()
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close('closed')
    return Promise.resolve()
  }

  /** Notifies viewers, soon, that views have changed. */
  protected touch(views: readonly ViewName[]): void {
    this.#viewers.touch(views)
  }

  /** Tells viewers that the source itself, or the list of its views, has changed. */
  protected greet(): void {
    this.#viewers.greet()
  }

  /** What is known now. */
  protected get known(): KnownState {
    return this.options.stream.known
  }

  /** What was known after an entry. */
  protected knownAfter(number: number): Promise<KnownState> {
    return Promise.resolve(this.options.stream.knownAfter(number))
  }

  protected listView(request: ListRequest, then: KnownState | undefined): ListView {
    return { view: 'list', ...(then ?? this.known).rows.list(request) }
  }

  protected entriesView(request: EntriesRequest): Promise<EntriesView> {
    return Promise.resolve(searchEntries(this.options.stream.ring, request))
  }

  /** The number of the first entry whose time can be shown. */
  protected get oldestEntry(): number {
    return this.options.stream.oldest
  }

  /** The number of items in each innermost state of a chart; for the past, what was known then is given. */
  protected occupancy(machine: string, then: KnownState | undefined): Readonly<Record<string, number>> {
    return (then ?? this.known).actors.occupancy(machine)
  }

  #machinesView(then: KnownState | undefined): MachinesView {
    const { machines } = this.options
    const rows = machines.ids.map((id) => {
      const actors = Object.values(this.occupancy(id, then)).reduce((sum, count) => sum + count, 0)
      return { id, states: machines.graph(id)?.states.length ?? 0, actors }
    })
    return { view: 'machines', machines: rows }
  }

  #machineView(id: string, then: KnownState | undefined): MachineView {
    const machine = this.options.machines.graph(id) ?? null
    return { view: 'machine', machine, occupancy: this.occupancy(id, then) }
  }

  #hello(): HelloMessage {
    const { stream, actions, showsValues, clock, release } = this.options
    return {
      type: 'hello',
      protocol: inspectorProtocol,
      release,
      stream: stream.id,
      source: this.source,
      views: this.views,
      actions,
      showsValues,
      oldest: this.oldestEntry,
      newest: stream.ring.newest,
      nowMs: Math.trunc(clock.wallNow()),
    }
  }

  /** Number of the last entry that a viewer has seen, or should not be shown. */
  #startOf(after: string | undefined): number {
    const { id, ring } = this.options.stream
    const [, digits, stream] = /^(\d{1,15})@([\w-]{1,64})$/.exec(after ?? '') ?? []
    if (digits !== undefined && stream === id) return Math.min(Number(digits), ring.newest)
    return Math.max(ring.oldest - 1, ring.newest - firstEntries)
  }

  #entriesText(part: RingPart, after: string | undefined): string {
    const gap = this.#gapOf(part, after)
    const all = gap === undefined ? part.texts : [JSON.stringify(gap), ...part.texts]
    return `{"type":"entries","oldest":${this.oldestEntry},"entries":[${all.join(',')}]}`
  }

  #gapOf({ lostFrom, texts, last }: RingPart, after: string | undefined): GapEntry | undefined {
    if (lostFrom === undefined) return undefined
    const n = texts.length === 0 ? last : last - texts.length
    const reason: GapEntry['reason'] = after === undefined ? 'slow' : 'evicted'
    const atMs = Math.trunc(this.options.clock.wallNow())
    return { type: 'gap', n: Math.max(n, lostFrom), atMs, from: lostFrom, reason }
  }
}

/** Actors, those that changed last first. */
function actorsView({ actors }: KnownState, { machine, text, ...window }: ActorsRequest): ActorsView {
  const words = wordsIn(text)
  const rows = [...actors.rows()].filter((row) => {
    if (machine !== undefined && row.machine !== machine) return false
    return hasWords(
      `${row.name} ${row.actor} ${row.machine} ${row.item?.id} ${row.states.join(' ')} ${row.status}`,
      words,
    )
  })
  rows.sort((one, other) => other.changedAt - one.changedAt)
  return { view: 'actors', ...pageOf(rows, window) }
}

function messageOf(message: ServerMessage): SourceMessage {
  return { type: message.type, json: JSON.stringify(message) }
}

function lineOf(line: RecordingLine): Uint8Array {
  return linesOf([JSON.stringify(line)])
}

function linesOf(texts: readonly string[]): Uint8Array {
  return utf8.encode(`${texts.join('\n')}\n`)
}
