import type { Clock, TimeoutHandle } from '../../base/clock.js'
import { StatewardError } from '../../base/errors.js'
import { nextTurn } from '../../base/promises.js'
import { ActorTable } from '../stream/actor-table.js'
import type { InspectionStream } from '../stream/inspection-stream.js'
import type { MachineTable } from '../stream/machine-table.js'
import {
  inspectorProtocol,
  type ActionAnswer,
  type ActionName,
  type ActionRequest,
  type ActorsView,
  type EntriesRequest,
  type EntriesView,
  type GapEntry,
  type HelloMessage,
  type InspectedSource,
  type ListRequest,
  type ListView,
  type MachineView,
  type MachinesView,
  type RecordingLine,
  type Sample,
  type ServerMessage,
  type StreamEntry,
  type View,
  type ViewName,
  type ViewRequest,
} from '../stream/protocol.js'
import { RowTable } from '../stream/row-table.js'
import { pageOf } from '../views/pages.js'
import type { InspectorSource, SourceMessage } from './source.js'
import { Viewer } from './viewer.js'

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
/** The delay from an entry to its message, and from a change of a view to its notice, in milliseconds. */
const entryPauseMs = 50
const changePauseMs = 250
const samplePauseMs = 1000
const firstSampleMs = 250
/** The maximum number of samples for plots: five minutes. */
const mostSamples = 300
/** How many earlier entries a new viewer is shown. */
const firstEntries = 1000

const utf8 = new TextEncoder()

const defaultLingerMs = 30_000

/**
 * Publishes a stream to viewers, and answers the views that need only the stream: the list, the actors, the charts. The
 * stream is fed only while there are viewers.
 */
export abstract class StreamSource implements InspectorSource {
  protected readonly options: StreamSourceOptions
  protected readonly samples: Sample[] = []
  readonly #viewers = new Set<Viewer>()
  #isFed = false
  #goodbye: string | undefined
  #entryTimer: TimeoutHandle
  #changeTimer: TimeoutHandle
  #sampleTimer: TimeoutHandle
  #lingerTimer: TimeoutHandle
  /** The counters at the previous sample. */
  #before = { started: 0, ended: 0, failed: 0, entries: 0, dropped: 0 }

  constructor(options: StreamSourceOptions) {
    this.options = options
    options.stream.onEntry(() => this.#soonTellEntries())
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
  /** Answers a view that needs more than the stream. */
  protected abstract otherView(request: ViewRequest): Promise<View>
  abstract act(request: ActionRequest): Promise<ActionAnswer>

  get viewerCount(): number {
    return this.#viewers.size
  }

  async *follow(after: string | undefined, signal: AbortSignal): AsyncGenerator<SourceMessage> {
    const { stream } = this.options
    const viewer = this.#enter()
    try {
      let last = this.#startOf(after)
      yield messageOf(this.#hello())
      while (!signal.aborted) {
        const part = stream.ring.after(last, mostOfMessage)
        if (part.texts.length > 0 || part.lostFrom !== undefined) {
          last = part.last
          yield { type: 'entries', id: `${last}@${stream.id}`, json: entriesText(part.texts, this.#gapOf(part, after)) }
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
      this.#leave(viewer)
    }
  }

  async view(request: ViewRequest): Promise<View> {
    if (!this.options.views.includes(request.view)) throw viewUnknown(request.view)
    const leave = this.#look()
    try {
      switch (request.view) {
        case 'list':
          return await this.listView(request)
        case 'machines':
          return this.#machinesView()
        case 'machine':
          return this.#machineView(request.machine)
        case 'actors':
          return await this.#actorsView(request)
        case 'entries':
          return await this.entriesView(request)
        default:
          return await this.otherView(request)
      }
    } finally {
      leave()
    }
  }

  async *recording(): AsyncGenerator<Uint8Array> {
    const { stream, machines, source, clock, release } = this.options
    const leave = this.#look()
    try {
      await this.told()
      yield lineOf({
        type: 'stateward.recording',
        version: inspectorProtocol,
        release,
        source,
        atMs: clock.wallNow(),
      })
      for (const id of machines.ids) {
        const machine = machines.graph(id)
        if (machine !== undefined) yield lineOf({ type: 'machine', machine })
      }
      for (const sample of this.samples) yield lineOf({ type: 'sample', sample })
      const { newest } = stream.ring
      for (let last = stream.ring.oldest - 1; last < newest; ) {
        const { texts, last: next } = stream.ring.after(last, mostOfMessage)
        if (texts.length === 0) break
        yield utf8.encode(`${texts.join('\n')}\n`)
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
    this.#stop()
    for (const viewer of this.#viewers) viewer.wake()
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close('closed')
    return Promise.resolve()
  }

  protected listView(request: ListRequest): Promise<ListView> {
    const rows = request.at === undefined ? this.options.stream.rows : this.pastAt(request.at).rows
    return Promise.resolve({ view: 'list', ...rows.list(request) })
  }

  /** Notifies viewers, soon, that views have changed. */
  protected touch(views: readonly ViewName[]): void {
    for (const viewer of this.#viewers) viewer.touch(views)
    if (this.#changeTimer !== undefined || this.#viewers.size === 0) return
    this.#changeTimer = this.options.clock.setTimeout(() => {
      this.#changeTimer = undefined
      this.#wakeAll()
    }, changePauseMs)
  }

  /** The state right after an entry, as far as the held entries tell. */
  protected pastAt(number: number): { readonly actors: ActorTable; readonly rows: RowTable } {
    const { ring } = this.options.stream
    const [actors, rows] = [new ActorTable(), new RowTable()]
    for (let n = ring.oldest; n <= Math.min(number, ring.newest); n += 1) {
      const text = ring.text(n)
      if (text === undefined) continue
      const entry = JSON.parse(text) as StreamEntry
      actors.take(entry)
      if (entry.type === 'row') rows.put(entry.row)
    }
    return { actors, rows }
  }

  protected entriesView({ after, before, limit = 100, actor, item, text }: EntriesRequest): Promise<EntriesView> {
    const { ring } = this.options.stream
    const { oldest, newest } = ring
    const words = (text ?? '').toLowerCase().split(/\s+/).filter(Boolean)
    const found: StreamEntry[] = []
    const take = (n: number): void => {
      const json = ring.text(n)
      if (json === undefined || !mayMatch(json, words, actor, item?.id)) return
      const entry = JSON.parse(json) as StreamEntry
      if (isAbout(entry, actor, item?.id)) found.push(entry)
    }
    if (after !== undefined) {
      const last = Math.min(newest, before === undefined ? newest : before - 1)
      for (let n = Math.max(oldest, after + 1); n <= last && found.length < limit; n += 1) take(n)
    } else {
      const last = before === undefined ? newest : before - 1
      for (let n = Math.min(newest, last); n >= oldest && found.length < limit; n -= 1) take(n)
      found.reverse()
    }
    return Promise.resolve({ view: 'entries', entries: found, oldest, newest })
  }

  #machinesView(): MachinesView {
    const { machines } = this.options
    const rows = machines.ids.map((id) => {
      const actors = Object.values(this.occupancy(id)).reduce((sum, count) => sum + count, 0)
      return { id, states: machines.graph(id)?.states.length ?? 0, actors }
    })
    return { view: 'machines', machines: rows }
  }

  #machineView(id: string): MachineView {
    return { view: 'machine', machine: this.options.machines.graph(id) ?? null, occupancy: this.occupancy(id) }
  }

  /** The number of the first entry that can be requested. */
  protected get oldestEntry(): number {
    return this.options.stream.ring.oldest
  }

  /** The number of items in each innermost state of a chart. */
  protected occupancy(machine: string): Readonly<Record<string, number>> {
    return this.options.stream.actors.occupancy(machine)
  }

  async #actorsView({
    machine,
    text = '',
    at,
    ...window
  }: Extract<ViewRequest, { view: 'actors' }>): Promise<ActorsView> {
    const actors = at === undefined ? this.options.stream.actors : (await this.past(at)).actors
    const words = text.toLowerCase().split(/\s+/).filter(Boolean)
    const rows = [...actors.rows()].filter((row) => {
      if (machine !== undefined && row.machine !== machine) return false
      const searched = `${row.name} ${row.actor} ${row.machine} ${row.item?.id} ${row.states.join(' ')} ${row.status}`
      return words.every((word) => searched.toLowerCase().includes(word))
    })
    rows.sort((one, other) => other.changedAt - one.changedAt)
    return { view: 'actors', ...pageOf(rows, window) }
  }

  /** The same for sources that must read the past first. */
  protected past(number: number): Promise<{ readonly actors: ActorTable; readonly rows: RowTable }> {
    return Promise.resolve(this.pastAt(number))
  }

  #hello(): HelloMessage {
    const { stream, source, views, actions, showsValues, clock, release } = this.options
    const { newest } = stream.ring
    return {
      type: 'hello',
      protocol: inspectorProtocol,
      release,
      stream: stream.id,
      source,
      views,
      actions,
      showsValues,
      oldest: this.oldestEntry,
      newest,
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

  #gapOf({ lostFrom, texts, last }: ReturnType<InspectionStream['ring']['after']>, after: string | undefined) {
    if (lostFrom === undefined) return undefined
    const n = texts.length === 0 ? last : last - texts.length
    const reason: GapEntry['reason'] = after === undefined ? 'slow' : 'evicted'
    const atMs = Math.trunc(this.options.clock.wallNow())
    return { type: 'gap', n: Math.max(n, lostFrom), atMs, from: lostFrom, reason } satisfies GapEntry
  }

  #enter(): Viewer {
    const viewer = new Viewer()
    this.#viewers.add(viewer)
    this.#feed()
    return viewer
  }

  #leave(viewer: Viewer): void {
    this.#viewers.delete(viewer)
    this.#linger()
  }

  /** A request from somebody who does not follow the stream. */
  #look(): () => void {
    this.#feed()
    return () => this.#linger()
  }

  #feed(): void {
    const { clock } = this.options
    if (this.#lingerTimer !== undefined) clock.clearTimeout(this.#lingerTimer)
    this.#lingerTimer = undefined
    if (this.#isFed || this.#goodbye !== undefined) return
    this.#isFed = true
    this.begin()
    // Only after the existing items were published.
    this.#sampleTimer = clock.setTimeout(() => this.#takeSample(), firstSampleMs)
  }

  #linger(): void {
    const { clock, lingerMs = defaultLingerMs } = this.options
    if (this.#viewers.size > 0 || !this.#isFed || this.#lingerTimer !== undefined) return
    this.#lingerTimer = clock.setTimeout(() => this.#stop(), lingerMs)
  }

  #stop(): void {
    const { clock } = this.options
    for (const timer of [this.#entryTimer, this.#changeTimer, this.#sampleTimer, this.#lingerTimer]) {
      if (timer !== undefined) clock.clearTimeout(timer)
    }
    this.#entryTimer = this.#changeTimer = this.#sampleTimer = this.#lingerTimer = undefined
    if (!this.#isFed) return
    this.#isFed = false
    this.end()
  }

  #soonTellEntries(): void {
    if (this.#entryTimer !== undefined || this.#viewers.size === 0) return
    this.#entryTimer = this.options.clock.setTimeout(() => {
      this.#entryTimer = undefined
      this.#wakeAll()
    }, entryPauseMs)
  }

  #wakeAll(): void {
    for (const viewer of this.#viewers) viewer.wake()
  }

  #takeSample(): void {
    const { clock, stream } = this.options
    const { started, ended, failed } = stream.rows.flow
    const now = { started, ended, failed, entries: stream.ring.newest, dropped: stream.dropped }
    const before = this.#before
    this.#before = now
    const sample: Sample = {
      atMs: Math.trunc(clock.wallNow()),
      ...stream.rows.standing(),
      started: now.started - before.started,
      ended: now.ended - before.ended,
      failed: now.failed - before.failed,
      entries: now.entries - before.entries,
      dropped: now.dropped - before.dropped,
      journal: this.journalPosition(),
    }
    this.samples.push(sample)
    if (this.samples.length > mostSamples) this.samples.shift()
    for (const viewer of this.#viewers) viewer.sample(sample)
    this.#wakeAll()
    this.#sampleTimer = clock.setTimeout(() => this.#takeSample(), samplePauseMs)
  }
}

function messageOf(message: ServerMessage): SourceMessage {
  return { type: message.type, json: JSON.stringify(message) }
}

function entriesText(texts: readonly string[], gap: GapEntry | undefined): string {
  const all = gap === undefined ? texts : [JSON.stringify(gap), ...texts]
  return `{"type":"entries","entries":[${all.join(',')}]}`
}

function lineOf(line: RecordingLine): Uint8Array {
  return utf8.encode(`${JSON.stringify(line)}\n`)
}

/** Checks the text of an entry before it is parsed. */
function mayMatch(
  json: string,
  words: readonly string[],
  actor: string | undefined,
  item: string | undefined,
): boolean {
  if (actor !== undefined && !json.includes(JSON.stringify(actor))) return false
  if (item !== undefined && !json.includes(JSON.stringify(item))) return false
  if (words.length === 0) return true
  const searched = json.toLowerCase()
  return words.every((word) => searched.includes(word))
}

/** Whether an entry is about this actor and this item, if given. */
export function isAbout(entry: StreamEntry, actor: string | undefined, item: string | undefined): boolean {
  if (actor !== undefined) {
    const isIts = 'actor' in entry && (entry.actor === actor || ('source' in entry && entry.source === actor))
    if (!isIts) return false
  }
  if (item === undefined) return true
  if (entry.type === 'fact') return entry.items.some(({ id }) => id === item)
  if (entry.type === 'row') return entry.row.id === item
  return entry.type === 'actor' ? entry.item?.id === item : true
}

/** The error of a read-only source. */
export function readOnly(action: ActionName): StatewardError {
  return new StatewardError('inspector_read_only', `the inspector is read-only: ${action} is not allowed`, { action })
}

/** The error for a view that a source does not have. */
export function viewUnknown(view: string): StatewardError {
  return new StatewardError('view_unknown', `there is no view ${view} of this`, { view })
}
