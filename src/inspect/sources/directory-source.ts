import { runStates } from '../../tasks/index.js'
import { operationMachine } from '../../../machines/operation.js'
import { runMachine } from '../../../machines/run.js'
import { onAbort } from '../../base/abort.js'
import type { Clock } from '../../base/clock.js'
import { silence } from '../../base/promises.js'
import { appearanceOf } from '../../directory-appearance.js'
import { readDirectory, type DirectoryState } from '../../directory-state.js'
import { readDirectoryJournal, readDirectoryOwner } from '../../journal/reading.js'
import { itemsOfEvent } from '../stream/event-items.js'
import { InspectionStream } from '../stream/inspection-stream.js'
import type { KnownState } from '../stream/known-state.js'
import { MachineTable } from '../stream/machine-table.js'
import type {
  ActionAnswer,
  ActionRequest,
  InspectedSource,
  ItemRow,
  OverviewView,
  View,
  ViewName,
  ViewRequest,
} from '../stream/protocol.js'
import { keyOf } from '../stream/row-table.js'
import type { ShownValues } from '../stream/shown-values.js'
import { operationRow, processRow, taskRow, unfinishedRow } from '../views/item-rows.js'
import { nodeHistoryView } from '../views/node-history.js'
import { operationsOf, type InspectedState } from '../views/state.js'
import { barriersOf } from '../views/waits.js'
import { knownMachines } from './known-machines.js'
import { release } from './release.js'
import { occupancyOfRuns } from './run-occupancy.js'
import { stateView, viewsOfRooms } from './state-view.js'
import { readOnly } from './refusals.js'
import { StreamSource } from './stream-source.js'
import { ToldParts } from './told-parts.js'

/** How a directory is read. */
export interface DirectorySourceOptions {
  readonly directory: string
  readonly clock: Clock
  readonly shown: ShownValues
  readonly capacity: number
  readonly lingerMs?: number
}

/** Milliseconds between two checks whether the directory has changed. */
const lookPauseMs = 250
/** Reading takes at most this fraction of the time: a large directory is read less often. */
const readingShare = 0.2
/** How many of the latest events are shown to the first viewer. */
const mostEvents = 5000

const shownElsewhere: ReadonlySet<string> = new Set(['type', 'version', 'sequence'])
/** Actors cannot be seen from outside their process. */
const views = viewsOfRooms.filter((view) => view !== 'actors')

function viewsOf({ node }: DirectoryState): readonly ViewName[] {
  return node === undefined ? views : [...views, 'node']
}

/**
 * A data directory that is read while its owner runs or after it has ended, without its lock and without writing
 * anything.
 */
export class DirectorySource extends StreamSource {
  readonly #own: DirectorySourceOptions
  #reading: DirectoryState
  #state: InspectedState
  /** The rows that were published, as text, by item. */
  #rows = new Map<string, string>()
  #parts = new ToldParts()
  /** Sequence of the last event that was published. */
  #told: number | undefined
  #seen: string | undefined
  /** Aborts when the last viewer leaves; absent while there is none. */
  #watching: AbortController | undefined
  #hasBegun = false

  private constructor(own: DirectorySourceOptions, reading: DirectoryState) {
    const { clock, shown, capacity, directory, lingerMs } = own
    super({
      clock,
      release: release(),
      stream: new InspectionStream({ clock, capacity }),
      machines: new MachineTable(knownMachines),
      source: { type: 'directory', name: directory, isLive: isOwned(reading) },
      views: viewsOf(reading),
      actions: [],
      showsValues: shown.areShown,
      ...(lingerMs !== undefined && { lingerMs }),
    })
    this.#own = own
    this.#reading = reading
    this.#state = stateOf(reading, own)
  }

  /** Opens a directory. Rejects like {@link readDirectory}. */
  static async open(own: DirectorySourceOptions): Promise<DirectorySource> {
    return new DirectorySource(own, await readDirectory({ directory: own.directory }))
  }

  act({ action }: ActionRequest): Promise<ActionAnswer> {
    return silence(Promise.reject(readOnly(action)))
  }

  protected override begin(): void {
    if (this.#hasBegun) this.options.stream.restart()
    this.#hasBegun = true
    this.#rows.clear()
    this.#parts = new ToldParts()
    this.#told = undefined
    this.#seen = undefined
    this.#watching = new AbortController()
    void silence(this.#watch(this.#watching.signal))
  }

  protected override end(): void {
    this.#watching?.abort()
    this.#watching = undefined
  }

  protected override journalPosition(): number {
    return this.#reading.nextSequence - 1
  }

  protected override get source(): InspectedSource {
    return { type: 'directory', name: this.#own.directory, isLive: isOwned(this.#reading) }
  }

  protected override get views(): readonly ViewName[] {
    return viewsOf(this.#reading)
  }

  protected override occupancy(machine: string, then: KnownState | undefined): Readonly<Record<string, number>> {
    if (machine === operationMachine.id) return occupancyOfOperations(then ?? this.known)
    return then === undefined && machine === runMachine.id ? occupancyOfRuns(this.#state) : {}
  }

  protected override async otherView(request: ViewRequest, then: KnownState | undefined): Promise<View> {
    const { node } = this.#reading
    if (request.view === 'overview') return this.#overview()
    if (request.view === 'node' && node !== undefined) {
      const { shown, isOwned: hasOwner } = this.#state
      return nodeHistoryView(node, { shown, isOwned: hasOwner, nowMs: this.#state.nowMs() })
    }
    return stateView(this.#state, request, this.#own.directory, then)
  }

  /** Checks repeatedly until the last viewer leaves. */
  async #watch(signal: AbortSignal): Promise<void> {
    const { clock, directory } = this.#own
    while (!signal.aborted) {
      const startedAt = clock.monotonicNow()
      let isChanged = false
      try {
        // A process that is killed changes no file.
        const owner = await readDirectoryOwner(directory)
        const appearance = `${await appearanceOf(directory)}\n${owner?.standing}`
        isChanged = appearance !== this.#seen
        if (isChanged) await this.#read(signal)
        this.#seen = appearance
      } catch {
        // The directory is being recreated by its owner, or is gone: the last state stays, and the next check looks
        // again.
      }
      const took = clock.monotonicNow() - startedAt
      await pause(clock, isChanged ? Math.max(lookPauseMs, took / readingShare) : lookPauseMs, signal)
    }
  }

  async #read(signal: AbortSignal): Promise<void> {
    const { directory } = this.#own
    const before = this.#greeting
    this.#reading = await readDirectory({ directory })
    this.#state = stateOf(this.#reading, this.#own)
    if (this.#greeting !== before) this.greet()
    await this.#tellEvents(signal)
    const rows = new Map<string, string>()
    for await (const row of rowsOf(this.#state)) {
      if (signal.aborted) return
      const [key, text] = [keyOf(row), JSON.stringify(row)]
      rows.set(key, text)
      if (this.#rows.get(key) !== text) this.options.stream.push({ type: 'row', row }, this.#seen !== undefined)
    }
    this.#rows = rows
    this.#parts.tell(this.#state, this.options.stream)
    if (this.#seen === undefined) this.options.stream.settle()
    this.touch(viewsOf(this.#reading))
  }

  async #tellEvents(signal: AbortSignal): Promise<void> {
    const { directory, shown } = this.#own
    await using journal = await readDirectoryJournal({ directory })
    this.#told ??= Math.max(0, journal.nextSequence - 1 - mostEvents)
    for (const { sequence, record } of journal.recovery.records) {
      if (sequence <= this.#told || signal.aborted) continue
      const [topic, event] = Array.isArray(record) ? record : []
      if (typeof topic !== 'string' || typeof event !== 'object' || event === null) continue
      const { type } = event as { readonly type?: unknown }
      this.options.stream.push({
        type: 'fact',
        topic,
        name: typeof type === 'string' ? type : 'unknown',
        items: itemsOfEvent(topic, event),
        data: { sequence, ...shown.fields(event, shownElsewhere) },
      })
    }
    this.#told = Math.max(this.#told, journal.nextSequence - 1)
  }

  /** What viewers were told of the source; when it changes, they are told again. */
  get #greeting(): string {
    return `${this.source.isLive} ${this.views.join(' ')}`
  }

  #overview(): OverviewView {
    const { stream, clock } = this.options
    const { owner, brokenEnd, nextSequence, sessions, tasks } = this.#reading
    const { oldest, newest } = stream.ring
    return {
      view: 'overview',
      atMs: Math.trunc(clock.wallNow()),
      jobs: 0,
      operations: this.known.rows.counts('operation'),
      tasks: {
        phases: this.known.rows.counts('task').phases,
        statuses: Object.fromEntries(runStates.map((state) => [state, tasks.countIn(state)])),
        isPaused: tasks.engine.paused,
      },
      processes: this.known.rows.counts('process'),
      sessions: sessions.length,
      barriers: [...barriersOf(this.#state)].length,
      questions: [...tasks.openWaits()].filter(({ subject }) => subject.type === 'answer').length,
      slots: [],
      stream: { oldest, newest, dropped: stream.dropped, viewers: this.viewerCount, sample: 1 },
      journal: {
        status: owner === undefined ? 'no owner' : `owner ${owner.standing}`,
        nextSequence,
        tail: 0,
        ...(owner !== undefined && { owner }),
        ...(brokenEnd !== undefined && { brokenEnd: `${brokenEnd.cause} at sequence ${brokenEnd.sequence}` }),
      },
      samples: this.samples,
    }
  }
}

function occupancyOfOperations({ rows }: KnownState): Readonly<Record<string, number>> {
  const { statuses } = rows.counts('operation')
  return Object.fromEntries(
    Object.entries(statuses).map(([status, count]) => [`${operationMachine.id}.${status}`, count]),
  )
}

/** Resolves after a delay, or at once when the signal aborts. */
async function pause(clock: Clock, milliseconds: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => {
    const timeout = clock.setTimeout(() => {
      forget()
      resolve()
    }, milliseconds)
    const forget = onAbort(signal, () => {
      clock.clearTimeout(timeout)
      resolve()
    })
  })
}

function isOwned({ owner }: DirectoryState): boolean {
  return owner !== undefined && owner.standing !== 'ended'
}

function stateOf(reading: DirectoryState, { shown, clock }: DirectorySourceOptions): InspectedState {
  return {
    sessions: () => reading.sessions,
    tasks: reading.tasks,
    taskEnds: reading.taskEnds,
    processes: reading.processes,
    shown,
    isOwned: isOwned(reading),
    nowMs: () => clock.wallNow(),
  }
}

async function* rowsOf(state: InspectedState): AsyncGenerator<ItemRow> {
  const { tasks, processes, shown } = state
  for (const session of state.sessions()) {
    for (const lost of session.lost) yield unfinishedRow(session.id, lost, state.isOwned)
    for (const view of operationsOf(session)) yield operationRow(session.id, view, shown)
  }
  for (const task of tasks.tasks()) yield taskRow(tasks, task, shown)
  for (const record of await processes.listProcesses({ status: 'any' })) yield processRow(record, shown)
}
