import { runStates } from '../../tasks/index.js'
import { runMachine } from '../../../machines/run.js'
import type { Clock } from '../../base/clock.js'
import type { Logger } from '../../base/logger.js'
import type { Runtime } from '../../runtime.js'
import { InspectionStream } from '../stream/inspection-stream.js'
import type { KnownState } from '../stream/known-state.js'
import { MachineTable } from '../stream/machine-table.js'
import type {
  ActionAnswer,
  ActionRequest,
  ListRequest,
  ListView,
  OverviewView,
  SlotRow,
  StreamEntry,
  View,
  ViewRequest,
} from '../stream/protocol.js'
import { actionNames } from '../stream/protocol.js'
import type { ShownValues } from '../stream/shown-values.js'
import { jobRow } from '../views/item-rows.js'
import { nodeView } from '../views/node.js'
import type { InspectedState } from '../views/state.js'
import { barriersOf } from '../views/waits.js'
import { actOnRuntime } from './actions.js'
import { knownMachines } from './known-machines.js'
import { release } from './release.js'
import { occupancyOfRuns } from './run-occupancy.js'
import { RuntimeFeed } from './runtime-feed.js'
import { stateView, viewsOfRooms } from './state-view.js'
import { StreamSource } from './stream-source.js'

/** How a runtime is shown. */
export interface RuntimeSourceOptions {
  readonly runtime: Runtime
  readonly clock: Clock
  readonly logger: Logger
  readonly shown: ShownValues
  readonly actions: boolean
  readonly sample: number
  readonly capacity: number
  readonly filter?: ((entry: StreamEntry) => boolean) | undefined
  readonly name: string
  readonly lingerMs?: number
}

/** A running service, seen from inside its process. */
export class RuntimeSource extends StreamSource {
  readonly #own: RuntimeSourceOptions
  readonly #state: InspectedState
  readonly #openedAtMs: number
  #feed: RuntimeFeed | undefined
  #hasBegun = false

  constructor(own: RuntimeSourceOptions) {
    const { runtime, clock, capacity, filter, shown, actions, name, lingerMs } = own
    super({
      clock,
      release: release(),
      stream: new InspectionStream({ clock, capacity, filter }),
      machines: new MachineTable(knownMachines),
      source: { type: 'runtime', name, isLive: true },
      views: runtime.inspected.node === undefined ? viewsOfRooms : [...viewsOfRooms, 'node'],
      actions: actions ? actionNames : [],
      showsValues: shown.areShown,
      ...(lingerMs !== undefined && { lingerMs }),
    })
    this.#own = own
    this.#openedAtMs = Math.trunc(clock.wallNow())
    this.#state = {
      sessions: () => runtime.sessions(),
      tasks: runtime.tasks.projection,
      taskEnds: runtime.tasks.feed,
      processes: runtime.processes.store,
      shown,
      isOwned: true,
      nowMs: () => clock.wallNow(),
    }
  }

  act(request: ActionRequest): Promise<ActionAnswer> {
    return actOnRuntime(this.#own.runtime, request, this.options.actions)
  }

  protected override begin(): void {
    const { stream, machines } = this.options
    if (this.#hasBegun) stream.restart()
    this.#hasBegun = true
    const { runtime, shown, sample, clock, logger } = this.#own
    this.#feed = new RuntimeFeed({
      runtime,
      state: this.#state,
      stream,
      machines,
      shown,
      sample,
      clock,
      logger,
      onChange: (views) => this.touch(views),
    })
  }

  protected override told(): Promise<unknown> {
    return this.#feed?.told ?? Promise.resolve()
  }

  protected override end(): void {
    this.#feed?.[Symbol.dispose]()
    this.#feed = undefined
  }

  protected override journalPosition(): number {
    return (this.#own.runtime.inspected.journal()?.nextSequence ?? 1) - 1
  }

  protected override occupancy(machine: string, then: KnownState | undefined): Readonly<Record<string, number>> {
    return then === undefined && machine === runMachine.id
      ? occupancyOfRuns(this.#state)
      : super.occupancy(machine, then)
  }

  /** Jobs are not part of the stream; they are read when requested. */
  protected override listView(request: ListRequest, then: KnownState | undefined): ListView {
    if (request.types?.includes('job') !== true || then !== undefined) return super.listView(request, then)
    const rows = this.known.rows.copy()
    for (const job of this.#own.runtime.jobs.list()) rows.put(jobRow(job, this.#own.shown))
    return { view: 'list', ...rows.list(request) }
  }

  protected override async otherView(request: ViewRequest, then: KnownState | undefined): Promise<View> {
    const { node } = this.#own.runtime.inspected
    if (request.view === 'overview') return this.#overview()
    if (request.view === 'node' && node !== undefined) return nodeView(node, this.#own.shown, this.#state.nowMs())
    return stateView(this.#state, request, this.#own.runtime.inspected.dataDir, then)
  }

  /** The concurrency limits: attempts of tasks, and sessions with a limit. */
  #slots(): readonly SlotRow[] {
    const { tasks } = this.#own.runtime
    const rows: SlotRow[] = []
    if (tasks.isDispatching) rows.push({ name: 'tasks', ...tasks.slots, waiting: tasks.projection.countIn('ready') })
    for (const { id, operations, view } of this.#own.runtime.sessions()) {
      const { maxConcurrent: limit, activeCount: taken } = operations
      if (limit !== undefined) rows.push({ name: `session ${id}`, limit, taken, waiting: view.queuedCount })
    }
    return rows
  }

  #overview(): OverviewView {
    const { stream } = this.options
    const { runtime, clock, sample } = this.#own
    const { projection } = runtime.tasks
    const { oldest, newest } = stream.ring
    const journal = runtime.inspected.journal()
    const runs = Object.fromEntries(runStates.map((state) => [state, projection.countIn(state)]))
    return {
      view: 'overview',
      atMs: Math.trunc(clock.wallNow()),
      openedAtMs: this.#openedAtMs,
      jobs: runtime.jobs.size,
      operations: this.known.rows.counts('operation'),
      tasks: {
        phases: this.known.rows.counts('task').phases,
        statuses: runs,
        isPaused: projection.engine.paused,
      },
      processes: this.known.rows.counts('process'),
      sessions: [...runtime.sessions()].length,
      barriers: [...barriersOf(this.#state)].length,
      questions: runtime.tasks.questions().length,
      slots: this.#slots(),
      stream: { oldest, newest, dropped: stream.dropped, viewers: this.viewerCount, sample },
      ...(journal !== undefined && {
        journal: { status: runtime.health.status, nextSequence: journal.nextSequence, tail: journal.tailLength },
      }),
      samples: this.samples,
    }
  }
}
