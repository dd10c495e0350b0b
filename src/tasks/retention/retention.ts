import type { Clock } from '../../base/clock.js'
import type { Deadline, DeadlineQueue } from '../../base/deadline-queue.js'
import { messageOf } from '../../base/errors.js'
import type { Logger } from '../../base/logger.js'
import { checkText } from '../../base/options.js'
import { LoopShare } from '../../base/loop-share.js'
import { OrderedSet } from '../../base/ordered-set.js'
import type { TaskBatch, TaskCommit, TaskMutations } from '../authority.js'
import { TaskError } from '../errors.js'
import { type ForgettingReads, isRunFree, useOf } from '../forgetting.js'
import type { TaskId } from '../ids.js'
import { hasEnded, type Task } from '../task.js'
import type { TaskProjection } from '../view.js'
import { EndedTasks } from './ended-tasks.js'
import type { ArchivedTask, ResolvedRetention } from './options.js'
import { archivedRuns, archivedTask, endedAtMs, oldRunsOf, treeOf, unitOf } from './rows.js'

/** What retention needs of the tasks room. */
export interface RetentionPort {
  readonly mutations: TaskMutations
  readonly projection: TaskProjection
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  readonly logger: Logger
  /** The time that commands are stamped with, in epoch milliseconds. */
  readonly now: () => number
  readonly options: ResolvedRetention
}

/** Roughly how many rows are removed in one change; the rows of one run stay together. */
const rowsAtOnce = 256
/** Milliseconds between two rounds, so that what ends meanwhile is forgotten together. */
const pauseMs = 1000
/** Milliseconds until a task that is still in use, or could not be archived, is tried again. */
const lookAgainMs = 60_000
/** Milliseconds until the wall clock is read again, since it may be set. */
const longestSleepMs = 3_600_000
/** How many tombstones without a key are kept. */
const mostTombstones = 10_000

/**
 * Forgets ended tasks that are beyond their bounds, in changes of some hundred rows, with turns of the event loop in
 * between. At a start, what is due is read from the projection, so a crash loses nothing.
 */
export class Retention implements Disposable {
  readonly #port: RetentionPort
  readonly #ended: EndedTasks
  /** Repeating tasks that may have more ended runs than are kept. */
  readonly #calendars = new Set<TaskId>()
  /** Tasks that were in use or could not be archived when they were due, by the monotonic time of the next try. */
  readonly #later = new OrderedSet<NextLook>(byNextLook)
  /**
   * How many times in a row each task could not be forgotten, for any reason: these are tried one by one, so that they
   * hold up no others.
   */
  readonly #failures = new Map<TaskId, number>()
  readonly #share: LoopShare
  #running: Promise<void> | undefined
  #wake: Deadline | undefined
  #isStopped = false
  #hasTombstones = false

  constructor(port: RetentionPort) {
    this.#port = port
    const { kinds, ...bounds } = port.options
    this.#ended = new EndedTasks(bounds, kinds)
    this.#share = new LoopShare(port.clock)
    this.#hasTombstones = this.#nextTombstoneMs() !== undefined
    if (port.options.isOn) this.#running = this.#report(() => this.#read())
    else if (this.#hasTombstones) this.#sleep(0)
  }

  /** Handles a durable commit. */
  observe({ ended, events }: TaskCommit): void {
    if (!this.#hasTombstones && events.some(({ type }) => type === 'tasks_forgotten')) {
      this.#hasTombstones = true
      this.#sleep(0)
    }
    if (!this.#port.options.isOn || (ended.tasks.length === 0 && ended.runs.length === 0)) return
    const { projection } = this.#port
    for (const taskId of ended.tasks) this.#note(taskId)
    for (const runId of ended.runs) {
      const run = projection.run(runId)
      if (run !== undefined && projection.task(run.taskId)?.spec.runPolicy.type !== 'once')
        this.#calendars.add(run.taskId)
    }
    this.#sleep(pauseMs)
  }

  /**
   * Forgets a task and all its descendants. Rejects with `unknown_task`, `task_not_ended` and `task_in_use`, with what
   * the archive rejects with, and with the lane's errors; some descendants may then be gone already. Does nothing if
   * the task is already forgotten.
   */
  async forget(taskId: TaskId): Promise<void> {
    checkText('task id', taskId)
    const { projection } = this.#port
    if (projection.task(taskId) === undefined && projection.tombstone(taskId) !== undefined) return
    const members = await this.#membersOf(taskId)
    const refusal = (await this.#refusalOf(members)) ?? (await this.#forgetAll(members))
    if (refusal !== undefined) throw refusal
  }

  /** Starts nothing more and clears the timers. It does not stop an archive that is still working. */
  [Symbol.dispose](): void {
    this.#isStopped = true
    this.#wake?.[Symbol.dispose]()
  }

  async #read(): Promise<void> {
    const { projection } = this.#port
    for (const task of projection.tasks()) {
      while (this.#share.isUsedUp) await this.#share.turn()
      if (this.#isStopped) return
      if (hasEnded(task)) this.#note(task.spec.id)
      if (task.spec.runPolicy.type !== 'once') this.#calendars.add(task.spec.id)
    }
    await this.#sweep()
  }

  /** Handles the end of a task: it, or its whole tree, will be due for forgetting. */
  #note(taskId: TaskId): void {
    const { projection } = this.#port
    const unit = unitOf(projection, taskId)
    if (unit === undefined || !hasEnded(unit)) return
    const task = projection.task(taskId)
    if (task !== undefined) this.#ended.add(unit.spec.id, unit.spec.kind, endedAtMs(projection, task))
  }

  async #sweep(): Promise<void> {
    this.#takeUpLater()
    const failures = [await this.#forgetCalendars(), await this.#forgetDue()]
    await this.#expireTombstones()
    for (const failure of failures) if (failure !== undefined) throw failure.reason
  }

  /** Forgets old runs of repeating tasks; a task for which this fails comes last the next time. */
  async #forgetCalendars(): Promise<Failure | undefined> {
    for (const taskId of this.#calendars) {
      try {
        await this.#forgetOldRuns(taskId)
        this.#calendars.delete(taskId)
      } catch (reason) {
        this.#calendars.delete(taskId)
        this.#calendars.add(taskId)
        return { reason }
      }
    }
    return undefined
  }

  /** Forgets what is due, skipping what fails; after two failures in a row, the rest is left for later too. */
  async #forgetDue(): Promise<Failure | undefined> {
    let failure: Failure | undefined
    let hasJustFailed = false
    for (;;) {
      const { roots, members } = await this.#nextDue()
      if (members.length === 0 || this.#isStopped) return failure
      try {
        await this.#forgetAll(members)
        for (const taskId of roots) this.#failures.delete(taskId)
        hasJustFailed = false
      } catch (reason) {
        failure ??= { reason }
        for (const taskId of roots) this.#failed(taskId)
        if (hasJustFailed) return failure
        hasJustFailed = true
      }
    }
  }

  /** Members of due trees, enough for one change or of a single tree. */
  async #nextDue(): Promise<{ readonly roots: readonly TaskId[]; readonly members: readonly TaskId[] }> {
    const { clock } = this.#port
    const roots: TaskId[] = []
    const members: TaskId[] = []
    for (;;) {
      const taskId = members.length >= rowsAtOnce ? undefined : this.#ended.due(clock.wallNow())
      const isAlone = taskId !== undefined && this.#failures.has(taskId)
      if (taskId === undefined || (isAlone && roots.length > 0)) return { roots, members }
      this.#ended.delete(taskId)
      const tree = await this.#membersOf(taskId)
      if ((await this.#refusalOf(tree)) === undefined) {
        roots.push(taskId)
        for (const member of tree) members.push(member)
        if (isAlone) return { roots, members }
      } else {
        this.#lookLater(taskId)
      }
    }
  }

  async #membersOf(taskId: TaskId): Promise<readonly TaskId[]> {
    const members: TaskId[] = []
    for (const member of treeOf(this.#port.projection, taskId)) {
      while (this.#share.isUsedUp) await this.#share.turn()
      members.push(member)
    }
    return members
  }

  /** Why a tree cannot be forgotten now; `undefined` if it can. */
  async #refusalOf(members: readonly TaskId[]): Promise<TaskError | undefined> {
    const { projection } = this.#port
    const gone = new Set<TaskId>()
    for (const taskId of members) {
      while (this.#share.isUsedUp) await this.#share.turn()
      const refusal = refusalOf(projection, taskId, gone)
      if (refusal !== undefined) return refusal
      gone.add(taskId)
    }
    return undefined
  }

  /** Forgets tasks in their order, group by group. Resolves with the error that stopped one of them, if any. */
  async #forgetAll(members: readonly TaskId[]): Promise<TaskError | undefined> {
    let refusal: TaskError | undefined
    let group: Task[] = []
    let rows = 0
    const flush = async (): Promise<void> => {
      if (group.length === 0) return
      refusal = (await this.#forgetGroup(group)) ?? refusal
      group = []
      rows = 0
    }
    for (const taskId of members) {
      if (this.#isStopped) return refusal
      const task = this.#port.projection.task(taskId)
      if (task === undefined) continue
      const { runs } = task.progress
      // A task with very many runs loses them first; it still counts them, so its outcome does not change.
      if (runs > rowsAtOnce) await this.#forgetRuns(taskId, 0)
      group.push(task)
      rows += 1 + Math.min(runs, rowsAtOnce)
      if (rows >= rowsAtOnce) await flush()
    }
    await flush()
    return refusal
  }

  async #forgetGroup(group: readonly Task[]): Promise<TaskError | undefined> {
    const { projection, mutations, now, options } = this.#port
    await this.#archive(group.map((task) => archivedTask(projection, task)))
    if (this.#isStopped) return undefined
    const kept: TaskId[] = []
    let refusal: TaskError | undefined
    const build = (batch: TaskBatch): void => {
      const gone = new Set<TaskId>()
      for (const { spec } of group) {
        const found = refusalOf(batch.view, spec.id, gone)
        if (found === undefined) gone.add(spec.id)
        else kept.push(spec.id)
        refusal ??= found
      }
      const atMs = now()
      const tombstonesUntilMs = atMs + options.tombstonesForMs
      if (gone.size > 0) batch.submit({ type: 'tasks_forget', taskIds: [...gone], tombstonesUntilMs, atMs })
    }
    await mutations.transact(build)
    for (const taskId of kept) this.#lookLater(unitOf(projection, taskId)?.spec.id ?? taskId)
    while (this.#share.isUsedUp) await this.#share.turn()
    return refusal
  }

  async #forgetOldRuns(taskId: TaskId): Promise<void> {
    const task = this.#port.projection.task(taskId)
    if (task !== undefined && task.spec.runPolicy.type !== 'once')
      await this.#forgetRuns(taskId, this.#port.options.runs)
  }

  async #forgetRuns(taskId: TaskId, kept: number): Promise<void> {
    const { projection, mutations, now } = this.#port
    for (;;) {
      const task = projection.task(taskId)
      const runs = oldRunsOf(projection, taskId, kept, rowsAtOnce)
      if (task === undefined || runs.length === 0 || this.#isStopped) return
      await this.#archive([archivedRuns(projection, task, runs)])
      if (this.#isStopped) return
      const gone = await mutations.transact((batch) => {
        const free = runs.filter(({ id }) => isRunFree(batch.view, id))
        const runIds = free.map(({ id }) => id)
        if (runIds.length > 0) batch.submit({ type: 'runs_forget', taskId, runIds, atMs: now() })
        return runIds.length
      })
      // Its children may now be due on their own.
      for (const child of projection.children(taskId)) if (hasEnded(projection.task(child))) this.#note(child)
      if (gone < runs.length) return
      while (this.#share.isUsedUp) await this.#share.turn()
    }
  }

  async #archive(rows: readonly ArchivedTask[]): Promise<void> {
    const { options, deadlines, logger } = this.#port
    if (options.archive === undefined) return
    const taskIds = rows.slice(0, 10).map(({ taskId }) => taskId)
    using _ = deadlines.after(lookAgainMs, () => {
      logger.warn({ tasks: rows.length, taskIds }, 'the archive does not answer; nothing is forgotten until it does')
    })
    await options.archive(rows)
  }

  /** Removes expired tombstones, and the oldest without a key beyond the number that is kept. */
  async #expireTombstones(): Promise<void> {
    const { projection, clock, mutations, now } = this.#port
    for (;;) {
      const wall = clock.wallNow()
      const over: TaskId[] = []
      for (const { taskId, untilMs } of projection.tombstones('with_key')) {
        if (untilMs > wall || over.length >= rowsAtOnce) break
        over.push(taskId)
      }
      let beyond = projection.tombstoneCount - mostTombstones
      for (const { taskId, untilMs } of projection.tombstones('without_key')) {
        if ((untilMs > wall && beyond <= 0) || over.length >= rowsAtOnce) break
        over.push(taskId)
        beyond -= 1
      }
      if (over.length === 0 || this.#isStopped) break
      await mutations.submit({ type: 'tombstones_expire', taskIds: over, atMs: now() })
      while (this.#share.isUsedUp) await this.#share.turn()
    }
    this.#hasTombstones = this.#nextTombstoneMs() !== undefined
  }

  #nextTombstoneMs(): number | undefined {
    const { projection } = this.#port
    const [withKey] = projection.tombstones('with_key')
    const [without] = projection.tombstones('without_key')
    return earliest([withKey?.untilMs, without?.untilMs])
  }

  #lookLater(taskId: TaskId, afterMs = lookAgainMs): void {
    this.#later.add({ taskId, atMs: this.#port.clock.monotonicNow() + afterMs })
  }

  /** Waits longer each time, so that a task that never succeeds does not always come first. */
  #failed(taskId: TaskId): void {
    const failures = (this.#failures.get(taskId) ?? 0) + 1
    this.#failures.set(taskId, failures)
    this.#lookLater(taskId, Math.min(failures * lookAgainMs, longestSleepMs))
  }

  #takeUpLater(): void {
    const now = this.#port.clock.monotonicNow()
    for (let { first } = this.#later; first !== undefined && first.atMs <= now; first = this.#later.first) {
      this.#later.delete(first)
      this.#note(first.taskId)
    }
  }

  /** Schedules the next round for when something is due, after a short pause at the earliest. */
  #sleep(earliestMs: number): void {
    if (this.#isStopped || this.#running !== undefined) return
    const { deadlines, clock } = this.#port
    const firstLater = this.#later.first?.atMs
    const dueAtMs = earliest([this.#ended.nextDueAtMs(), this.#nextTombstoneMs()])
    const delays = [
      dueAtMs === undefined ? undefined : dueAtMs - clock.wallNow(),
      firstLater === undefined ? undefined : firstLater - clock.monotonicNow(),
      this.#calendars.size > 0 ? 0 : undefined,
    ]
    const delay = earliest(delays)
    this.#wake?.[Symbol.dispose]()
    this.#wake = undefined
    if (delay === undefined) return
    this.#wake = deadlines.after(Math.min(Math.max(earliestMs, delay), longestSleepMs), () => {
      this.#running = this.#report(() => this.#sweep())
    })
  }

  /** Runs a round; work that fails is tried again later. */
  async #report(work: () => Promise<void>): Promise<void> {
    let restMs = pauseMs
    try {
      await work()
    } catch (failure) {
      const { logger } = this.#port
      restMs = lookAgainMs
      if (!this.#isStopped) logger.warn({ cause: messageOf(failure) }, 'ended tasks could not be forgotten, retrying')
    } finally {
      this.#running = undefined
      this.#sleep(restMs)
    }
  }
}

/** A task that could not be forgotten, and why. */
interface Failure {
  readonly reason: unknown
}

/** When a task is tried again, in monotonic milliseconds. */
interface NextLook {
  readonly taskId: TaskId
  readonly atMs: number
}

function byNextLook(one: NextLook, other: NextLook): number {
  return one.atMs - other.atMs || (one.taskId < other.taskId ? -1 : one.taskId > other.taskId ? 1 : 0)
}

/** Why a task cannot be forgotten; tasks in `gone` do not count. */
function refusalOf(view: ForgettingReads, taskId: TaskId, gone: ReadonlySet<TaskId>): TaskError | undefined {
  const task = view.task(taskId)
  if (task === undefined) return new TaskError('unknown_task', { taskId })
  if (!hasEnded(task)) return new TaskError('task_not_ended', { taskId })
  const use = useOf(view, taskId, gone)
  return use && new TaskError('task_in_use', { taskId, use })
}

function earliest(times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter((time) => time !== undefined)
  return known.length === 0 ? undefined : Math.min(...known)
}
