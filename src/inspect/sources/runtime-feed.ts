import type { Clock, TimeoutHandle } from '../../base/clock.js'
import type { Logger } from '../../base/logger.js'
import { createObserverGuard, type ObserverGuard } from '../../base/observers.js'
import { createDeferred, silence } from '../../base/promises.js'
import type { ChangeCursor, ProcessRecord } from '../../processes/index.js'
import type { Runtime } from '../../runtime.js'
import type { Task, TaskCommit, TaskId } from '../../tasks/index.js'
import { ActorEvents } from '../stream/actor-events.js'
import { itemsOfEvent } from '../stream/event-items.js'
import type { InspectionStream } from '../stream/inspection-stream.js'
import type { MachineTable } from '../stream/machine-table.js'
import type { ItemRef, ItemRow, ViewName } from '../stream/protocol.js'
import { keyOf } from '../stream/row-table.js'
import type { ShownValues } from '../stream/shown-values.js'
import { operationRow, processRow, taskRow, unfinishedRow } from '../views/item-rows.js'
import { operationsOf, type InspectedState } from '../views/state.js'
import { ToldParts } from './told-parts.js'

/** Options of a {@link RuntimeFeed}. */
export interface RuntimeFeedOptions {
  readonly runtime: Runtime
  readonly state: InspectedState
  readonly stream: InspectionStream
  readonly machines: MachineTable
  readonly shown: ShownValues
  readonly sample: number
  readonly clock: Clock
  readonly logger: Logger
  readonly onChange: (views: readonly ViewName[]) => void
}

/** How many items and actors are published in one turn of the event loop. */
const perTurn = 200
/**
 * How many operations are announced as actors to the first viewer; the others follow when something happens to them.
 */
const mostIntroduced = 2000
/** How many of the latest ended tasks get a row for the first viewer. */
const mostEndedTasks = 10_000
/** Minimum milliseconds from telling the parts to telling them again; telling takes at most this fraction of the time. */
const partsPauseMs = 50
const partsShare = 0.1
/** Milliseconds between two checks for changes in the store of processes. */
const processPauseMs = 500
/** The maximum number of changed processes per check, and of events for each of them. */
const mostChanges = 500
const mostEvents = 20

const operationViews: readonly ViewName[] = [
  'overview',
  'list',
  'item',
  'history',
  'feeds',
  'feed',
  'waits',
  'actors',
  'machine',
  'machines',
  'entries',
]
const taskViews: readonly ViewName[] = [
  'overview',
  'list',
  'item',
  'history',
  'feeds',
  'feed',
  'waits',
  'graph',
  'budgets',
  'schedules',
  'machine',
  'machines',
  'entries',
]
const processViews: readonly ViewName[] = [
  'overview',
  'list',
  'item',
  'history',
  'waits',
  'processes',
  'machine',
  'machines',
  'entries',
]

const nodeViews: readonly ViewName[] = ['node']
const filledViews: readonly ViewName[] = ['list', 'overview']

const shownElsewhere: ReadonlySet<string> = new Set(['type', 'version', 'sequence'])

/** Publishes what happens in a runtime to a stream, from the first viewer until the last one leaves. */
export class RuntimeFeed implements Disposable {
  readonly #options: RuntimeFeedOptions
  readonly #subscriptions: Disposable[]
  readonly #guard: ObserverGuard
  /** Items whose rows must be published again. */
  readonly #dirty = new Map<string, ItemRef>()
  readonly #backlog: Iterator<() => void>
  #turn: NodeJS.Immediate | undefined
  #timer: TimeoutHandle
  readonly #parts = new ToldParts()
  /** When the parts may be told again, in monotonic milliseconds. */
  #partsAt = 0
  #arePartsDue = true
  #partsTimer: TimeoutHandle
  #cursor: ChangeCursor = ''
  /** The last published event of each running process. */
  readonly #told = new Map<string, number>()
  #isFirstLook = true
  #isDisposed = false
  readonly #backlogTold = createDeferred<void>()
  readonly #processesTold = createDeferred<void>()
  /** Resolves when the existing items have been published, or the last viewer has left. */
  readonly told: Promise<unknown>

  constructor(options: RuntimeFeedOptions) {
    this.#options = options
    this.told = Promise.all([this.#backlogTold.promise, this.#processesTold.promise])
    const { runtime, stream, machines, shown, sample, logger } = options
    this.#guard = createObserverGuard(logger, 'the inspector could not show what happened')
    const actors = new ActorEvents({
      stream,
      machines,
      shown,
      sample,
      onMoved: (item) => this.#mark(item, operationViews),
    })
    const { inspection } = runtime.inspected
    this.#subscriptions = [
      inspection.watch((event) => {
        try {
          actors.take(event)
        } catch (fault) {
          stream.lose()
          throw fault
        }
      }),
      runtime.tasks.authority.onCommit((commit) => this.#committed(commit)),
      stream.onEntry(() => {
        this.#arePartsDue = true
        this.#schedule()
      }),
    ]
    const node = runtime.inspected.node?.onSnapshot(() => options.onChange(nodeViews))
    if (node !== undefined) this.#subscriptions.push(node)
    this.#backlog = this.#begin(actors)
    this.#schedule()
    void this.#lookAtProcesses()
    void this.#settle()
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true
    this.#backlogTold.resolve()
    this.#processesTold.resolve()
    if (this.#turn !== undefined) clearImmediate(this.#turn)
    for (const timer of [this.#timer, this.#partsTimer])
      if (timer !== undefined) this.#options.clock.clearTimeout(timer)
    for (const subscription of this.#subscriptions) subscription[Symbol.dispose]()
  }

  /** The existing items, one step after another. */
  *#begin(actors: ActorEvents): Generator<() => void> {
    const { runtime, stream, shown } = this.#options
    const put =
      (row: ItemRow): (() => void) =>
      () =>
        stream.push({ type: 'row', row }, false)
    for (const session of Array.from(runtime.sessions())) {
      for (const lost of session.lost) yield put(unfinishedRow(session.id, lost, false))
      for (const view of operationsOf(session)) yield put(operationRow(session.id, view, shown))
    }
    const { projection } = runtime.tasks
    const ended: Task[] = []
    for (const task of Array.from(projection.tasks())) {
      if (task.progress.open > 0)
        yield () => this.#options.stream.push({ type: 'row', row: taskRow(projection, task, shown) }, false)
      else ended.push(task)
    }
    for (const task of ended.slice(-mostEndedTasks)) {
      yield () => this.#options.stream.push({ type: 'row', row: taskRow(projection, task, shown) }, false)
    }
    for (const root of Array.from(runtime.inspected.inspection.roots)) yield () => actors.introduce(root)
    let left = mostIntroduced
    for (const session of Array.from(runtime.sessions())) {
      for (const id of session.operations.liveIds()) {
        const actor = left > 0 ? session.operations.actorOf(id) : undefined
        if (actor === undefined) continue
        left -= 1
        yield () => actors.introduce(actor)
      }
    }
  }

  async #settle(): Promise<void> {
    await this.told
    if (!this.#isDisposed) this.#options.stream.settle()
  }

  #committed({ events }: TaskCommit): void {
    const { stream, shown } = this.#options
    for (const event of events) {
      const items = itemsOfEvent('tasks', event)
      const data = shown.fields(event, shownElsewhere)
      stream.push({ type: 'fact', topic: 'tasks', name: event.type, items, data })
      for (const item of items) {
        const taskId =
          item.type === 'run' ? this.#options.runtime.tasks.projection.run(item.id as never)?.taskId : item.id
        if (taskId !== undefined) this.#mark({ type: 'task', id: taskId }, taskViews)
      }
    }
    this.#options.onChange(taskViews)
  }

  /** Publishes an item's row again, once per turn however often the item has changed. */
  #mark(item: ItemRef, views: readonly ViewName[]): void {
    if (item.type === 'job') return
    this.#dirty.set(keyOf(item), item)
    this.#options.onChange(views)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#isDisposed) return
    this.#turn ??= setImmediate(() => {
      this.#turn = undefined
      this.#guard(() => this.#tellSome())
    })
  }

  #tellSome(): void {
    let left = perTurn
    for (const [key, item] of this.#dirty) {
      if (left === 0) break
      left -= 1
      this.#dirty.delete(key)
      const row = this.#rowOf(item)
      if (row !== undefined) this.#options.stream.push({ type: 'row', row })
    }
    let hasMore = true
    for (; left > 0 && hasMore; left -= 1) {
      const next = this.#backlog.next()
      hasMore = next.done !== true
      if (next.done !== true) next.value()
    }
    if (this.#dirty.size > 0 || hasMore) return this.#schedule()
    this.#tellParts()
    this.#backlogTold.resolve()
    this.#options.onChange(filledViews)
  }

  /** Tells the parts after the rows that they refer to; in a busy service now and then. */
  #tellParts(): void {
    const { clock, state, stream } = this.#options
    if (!this.#arePartsDue || this.#partsTimer !== undefined) return
    const startedAt = clock.monotonicNow()
    if (startedAt < this.#partsAt) {
      this.#partsTimer = clock.setTimeout(() => {
        this.#partsTimer = undefined
        this.#schedule()
      }, this.#partsAt - startedAt)
      return
    }
    this.#parts.tell(state, stream)
    this.#arePartsDue = false
    const endedAt = clock.monotonicNow()
    this.#partsAt = endedAt + Math.max(partsPauseMs, (endedAt - startedAt) / partsShare)
  }

  #rowOf({ type, id, session: name }: ItemRef): ItemRow | undefined {
    const { runtime, shown } = this.#options
    if (type === 'task') {
      const { projection } = runtime.tasks
      const task = projection.task(id as TaskId)
      return task && taskRow(projection, task, shown)
    }
    const session = name === undefined ? undefined : runtime.findSession(name)
    const view = session?.view.row(id as never)
    return session && view && operationRow(session.id, view, shown)
  }

  async #lookAtProcesses(): Promise<void> {
    const { runtime, clock } = this.#options
    const { store } = runtime.processes
    try {
      for (;;) {
        const [changes, cursor] = await store.processesChangedSince(this.#cursor, mostChanges)
        this.#cursor = cursor
        for (const change of changes) {
          if (change.type === 'record') await this.#processChanged(change.record)
        }
        if (changes.length > 0) this.#options.onChange(processViews)
        if (changes.length < mostChanges || this.#isDisposed) break
      }
      this.#isFirstLook = false
    } catch (fault) {
      // A store that cannot be reached is tried again; its failure is logged once.
      this.#guard(() => {
        throw fault
      })
    }
    this.#processesTold.resolve()
    if (this.#isDisposed) return
    this.#timer = clock.setTimeout(() => void silence(this.#lookAtProcesses()), processPauseMs)
  }

  async #processChanged(record: ProcessRecord): Promise<void> {
    const { runtime, stream, shown } = this.#options
    const { id, lastSequence, status } = record
    const told = this.#told.get(id)
    if (status === 'running') this.#told.set(id, lastSequence)
    else this.#told.delete(id)
    if (this.#isDisposed) return
    const isNew = told === undefined && !this.#isFirstLook
    if (told !== undefined || isNew) {
      const events = await runtime.processes.store.recentEvents(id, Math.min(mostEvents, lastSequence - (told ?? 0)))
      const items: readonly ItemRef[] = [{ type: 'process', id }]
      for (const { sequence, eventType, payload } of events) {
        if (sequence <= (told ?? 0) || this.#isDisposed) continue
        const data = shown.fields({ sequence, payload }, new Set())
        stream.push({ type: 'fact', topic: 'processes', name: eventType, items, data })
      }
    }
    if (!this.#isDisposed) stream.push({ type: 'row', row: processRow(record, shown) }, !this.#isFirstLook)
  }
}
