import type { Clock } from '../../base/clock.js'
import type { Deadline } from '../../base/deadline-queue.js'
import { silentLogger, type Logger } from '../../base/logger.js'
import { budgetDimension, type BudgetDimension } from '../budget.js'
import type { TaskEvent } from '../catalogue.js'
import type { RunId, TaskId } from '../ids.js'
import { canRun } from '../actor.js'
import type { Run } from '../run.js'
import { hasEnded, type Task } from '../task.js'
import { concurrencyKeyOf } from '../task-spec.js'
import { runBlocked } from '../task-lines.js'
import type { TaskProjection } from '../view.js'
import type { Slot } from '../../work/slot.js'
import type { Slots } from '../../work/slots.js'
import type { RegisteredHandler } from './attempts.js'
import type { BudgetLine } from './budget-line.js'
import { type Blocker, Candidates } from './candidates.js'
import { ConcurrencyKeys, type ConcurrencyKeysOptions } from './concurrency-keys.js'
import type { DispatchBlock } from './block.js'
import { anyCancelled, lineage } from './runs.js'
import { type RefusedAmount, shortageOf } from './spending.js'
import { UnhandledKinds } from './unhandled-kinds.js'

/** Options and dependencies of {@link Selection}. */
export interface SelectionOptions extends Pick<ConcurrencyKeysOptions, 'deadlines' | 'stragglerLimitMs'> {
  readonly projection: TaskProjection
  readonly handlers: ReadonlyMap<string, RegisteredHandler>
  /** Limits how many attempts run at a time. */
  readonly slots: Slots
  readonly clock: Pick<Clock, 'monotonicNow'>
  readonly capabilities: readonly string[]
  /** Attempts waiting in this line for a budget come first. */
  readonly line: Pick<BudgetLine, 'isWaitedFor'>
  /** True while a run has an attempt in this process, even one that is ending. */
  readonly isAtWork: (runId: RunId) => boolean
  readonly logger: Logger
  /** Called when leftover code has ended and runs that it kept out may start. */
  readonly onRoom: () => void
}

/** A run that may start, with its handler; it holds its concurrency key and a slot. */
export interface Selected {
  readonly run: Run
  readonly registered: RegisteredHandler
  readonly slot: Slot
}

/** Chooses the ready run to start next: the first in selection order that nothing blocks (T-76). */
export class Selection implements Disposable {
  readonly #options: SelectionOptions
  readonly #candidates = new Candidates()
  readonly #keys: ConcurrencyKeys
  /** By run, the amount that its last attempt could not reserve because others had reserved it. */
  readonly #refused = new Map<RunId, RefusedAmount>()
  /** Handlers with a logged warning that no budget can cover what they reserve. */
  readonly #warned = new WeakSet<RegisteredHandler>()
  readonly #unhandled: UnhandledKinds
  /** The last logged obstacle of each blocked run; absent without a logger. */
  readonly #told = new Map<RunId, Blocker>()
  /** When the next run of a kind may start. */
  readonly #rates = new Map<string, Deadline>()

  /** Reads the ready runs from the projection, once. */
  constructor(options: SelectionOptions) {
    this.#options = options
    this.#keys = new ConcurrencyKeys({
      ...options,
      onFree: (key) => {
        this.#candidates.unblock(`key:${key}`, 'first')
        options.onRoom()
      },
      onFreeForHolder: (key, holder) => {
        this.#candidates.unblockRun(holder, `key:${key}`)
        options.onRoom()
      },
    })
    this.#unhandled = new UnhandledKinds(options)
    for (const run of options.projection.ready()) this.#candidates.add(run)
  }

  /**
   * Removes and returns the next run that may start. Returns `later` when `isEnough` ends the search among blocked
   * runs; call again then.
   */
  takeNext(isEnough: () => boolean = () => false): Selected | 'later' | undefined {
    for (let run = this.#candidates.first; run !== undefined; run = this.#candidates.first) {
      const chosen = this.#judge(run)
      if (typeof chosen === 'string') {
        this.#tellBlock(run, chosen)
        this.block(run, chosen)
        if (isEnough()) return 'later'
      } else {
        this.#candidates.remove(run.id)
        this.#refused.delete(run.id)
        this.#told.delete(run.id)
        this.#passOn(run)
        return chosen
      }
    }
    return undefined
  }

  /** Sets a run aside until its obstacle is gone, and frees its key for others. */
  block(run: Run, blocker: Blocker): void {
    this.#candidates.block(run, blocker)
    this.#keys.update(run)
    this.#passOn(run)
  }

  /** Called when a handler was registered. */
  onHandler(kind: string): void {
    this.#unhandled.onHandled(kind)
    this.#candidates.unblock(`kind:${kind}`)
    this.#candidates.unblock(`slot:${kind}`)
    this.#candidates.unblock(`rate:${kind}`)
  }

  /** Called when a slot of a kind became free. */
  onRoom(kind: string): void {
    this.#candidates.unblock('slot')
    this.#candidates.unblock(`slot:${kind}`, 'first')
  }

  /** Puts runs with this obstacle back in line. */
  unblock(blocker: Blocker): void {
    this.#candidates.unblock(blocker)
  }

  /** Keeps a run that is ready again from starting until the amount that it was refused is available. */
  waitFor(runId: RunId, refused: RefusedAmount): void {
    this.#refused.set(runId, refused)
  }

  /** Frees the key of a waiting run for others. */
  giveKeyBack(run: Run): void {
    this.#keys.release(run)
  }

  /** Resolves once a run that waited holds its key again. Rejects with the signal's reason. */
  takeKeyAgain(run: Run, signal?: AbortSignal): Promise<void> {
    return this.#keys.takeAgain(run, signal)
  }

  /** Keeps the key of a run occupied until the code of its attempt has ended. */
  keepKeyUntil(run: Run, finished: Promise<void>): void {
    this.#keys.keepUntil(run, finished)
  }

  /** Clears its timers. */
  [Symbol.dispose](): void {
    this.#keys[Symbol.dispose]()
    this.#unhandled[Symbol.dispose]()
    for (const deadline of this.#rates.values()) deadline[Symbol.dispose]()
    this.#rates.clear()
  }

  /**
   * Puts a run in line that is due, although it is not ready yet: its claim makes it ready, or follows its promotion in
   * the same sync. If the promotion fails, the claim finds the run unchanged and is given up.
   */
  onDue(run: Run): void {
    this.#candidates.add(run)
  }

  /** Handles a durable change of a run that is not in line. */
  onRunChanged(run: Run): void {
    this.#keys.update(run)
    if (run.state !== 'ready') {
      this.#candidates.remove(run.id)
      this.#refused.delete(run.id)
      this.#told.delete(run.id)
      return this.#passOn(run)
    }
    this.#candidates.add(run)
    if (run.lease === undefined) this.#candidates.unblockRun(run.id, 'lease')
  }

  /** Handles a durable event that may remove an obstacle. */
  observe(event: TaskEvent): void {
    switch (event.type) {
      case 'budget_replenished':
        this.#candidates.unblock(`budget:${event.taskId}`)
        return this.#candidates.unblock('reservation')
      case 'budget_settled':
      case 'budget_released':
        return this.#candidates.unblock('reservation')
      case 'attempt_ended':
      case 'step_recorded':
        if ((event.settlements ?? []).length > 0) this.#candidates.unblock('reservation')
        return
      case 'task_cancelled':
        // A task without runs has ended with this event.
        return this.#unblockDependents(event.taskId)
      default:
        return
    }
  }

  /** Handles the end of a run, which may have opened the gates of dependents. */
  onRunEnded({ taskId }: Run): void {
    const { projection } = this.#options
    // Gates change only with the last run of a task.
    if (projection.task(taskId)?.progress.open === 0) this.#unblockDependents(taskId)
  }

  #unblockDependents(taskId: TaskId): void {
    for (const dependent of this.#options.projection.dependents(taskId)) this.#candidates.unblock(`gate:${dependent}`)
  }

  /**
   * A run may have been put back as the first waiting for its key, or for a slot of its kind. Now that it has started,
   * or cannot, it is the next one's turn.
   */
  #passOn(run: Run): void {
    if (!this.#candidates.isAnyBlocked) return
    const { projection, slots } = this.#options
    const spec = projection.task(run.taskId)?.spec
    if (spec === undefined) return
    const { kind } = spec
    const key = concurrencyKeyOf(spec)
    if (key !== undefined && this.#keys.isFree(key)) this.#candidates.unblock(`key:${key}`, 'first')
    if (!this.#candidates.isBlocking(`slot:${kind}`) && !this.#candidates.isBlocking(`rate:${kind}`)) return
    const block = slots.blockOf({ kind })
    if (block === undefined || block.by === 'rate') this.#candidates.unblock(`slot:${kind}`, 'first')
    if (block === undefined || block.by === 'kind') this.#candidates.unblock(`rate:${kind}`, 'first')
    if (block?.by === 'rate') this.#awaitRate(kind)
  }

  #judge(run: Run): Selected | Blocker {
    const { projection, handlers, slots } = this.#options
    const kind = projection.task(run.taskId)?.spec.kind ?? ''
    const blocker = this.#blockerOf(run)
    if (blocker?.startsWith('kind:') === true) this.#unhandled.note(kind, run)
    if (blocker?.startsWith('rate:') === true) this.#awaitRate(kind)
    const registered = handlers.get(kind)
    if (blocker !== undefined || registered === undefined) return blocker ?? `kind:${kind}`
    const slot = slots.tryTake({ kind })
    if (slot === undefined) return 'slot'
    this.#keys.tryAcquire(run)
    return { run, registered, slot }
  }

  /** Logs each obstacle of a run once, except those that pass in a moment. */
  #tellBlock(run: Run, blocker: Blocker): void {
    const { logger, projection } = this.#options
    if (logger === silentLogger || blocker === 'commit' || blocker === 'lease' || blocker === 'cancellation') return
    if (this.#told.get(run.id) === blocker) return
    this.#told.set(run.id, blocker)
    const { id: runId, taskId } = run
    const kind = projection.task(taskId)?.spec.kind ?? ''
    const block = this.blockOf(run) ?? { by: blocker }
    runBlocked(logger, { taskId, kind, runId, ...block })
  }

  /** What prevents a ready run from starting, for callers of the API; see {@link DispatchBlock}. */
  blockOf(run: Run): DispatchBlock | undefined {
    const { projection, capabilities, slots, clock } = this.#options
    const blocker = this.#blockerOf(run)
    const { kind, constraints } = projection.task(run.taskId)?.spec ?? { kind: '' }
    const [type = '', name = ''] = blocker === undefined ? [] : splitAtColon(blocker)
    switch (type) {
      case 'kind':
        return { by: 'handler', kind }
      case 'capabilities':
        return {
          by: 'capabilities',
          missing: (constraints?.requiredCapabilities ?? []).filter((one) => !capabilities.includes(one)),
        }
      case 'gate':
        return { by: 'prerequisites', taskIds: openPrerequisites(projection, run.taskId) }
      case 'budget':
        return { by: 'budget', taskId: name as TaskId }
      case 'reservation':
        return { by: 'reservation' }
      case 'key':
        return { by: 'key', key: name }
      case 'cancellation':
        return { by: 'cancellation' }
      case 'lease': {
        const { lease } = run
        return { by: 'lease', ...(lease !== undefined && { owner: lease.owner, expiresAtMs: lease.expiresAtMs }) }
      }
      case 'slot':
      case 'rate': {
        const block = slots.blockOf({ kind })
        if (block?.by === 'rate') return { by: 'rate', kind, forMs: Math.max(0, block.untilMs - clock.monotonicNow()) }
        return block?.by === 'all'
          ? { by: 'slots', limit: slots.limitOf() }
          : { by: 'slots', limit: slots.limitOf(kind), kind }
      }
      default:
        return undefined
    }
  }

  #blockerOf(run: Run): Blocker | undefined {
    const { projection, handlers, capabilities, isAtWork, slots } = this.#options
    const { taskId } = run
    const tasks = lineage(projection, taskId)
    const [task] = tasks
    if (task === undefined || anyCancelled(tasks)) return 'cancellation'
    if (projection.run(run.id)?.lease !== undefined || isAtWork(run.id)) return 'lease'
    const { kind, constraints } = task.spec
    const registered = handlers.get(kind)
    if (registered === undefined) return `kind:${kind}`
    if (!canRun({ capabilities }, constraints)) return 'capabilities'
    if (projection.dependencyGate(taskId) !== 'open') return `gate:${taskId}`
    const exhausted = exhaustedAt(projection, tasks)
    if (exhausted !== undefined) return `budget:${exhausted}`
    const short = this.#shortOf(run, registered)
    if (short !== undefined) return short
    const key = concurrencyKeyOf(task.spec)
    if (key !== undefined && !this.#keys.mayAcquire(run)) return `key:${key}`
    const block = slots.blockOf({ kind })
    if (block === undefined) return undefined
    return block.by === 'rate' ? `rate:${kind}` : block.by === 'kind' ? `slot:${kind}` : 'slot'
  }

  /** Sets one deadline per kind, however many runs wait for it. */
  #awaitRate(kind: string): void {
    const { slots, deadlines, onRoom } = this.#options
    const block = slots.blockOf({ kind })
    if (block?.by !== 'rate' || this.#rates.has(kind)) return
    const wake = (): void => {
      this.#rates.delete(kind)
      this.#candidates.unblock(`rate:${kind}`, 'first')
      onRoom()
    }
    this.#rates.set(kind, deadlines.at(block.untilMs, wake))
  }

  /** What prevents a run from reserving the amounts of its next attempt, or what it was refused in the last one. */
  #shortOf({ id, taskId }: Run, registered: RegisteredHandler): Blocker | undefined {
    const { projection, line } = this.#options
    const { reserve } = registered.options
    const refused = this.#refused.get(id)
    if (refused === undefined && reserve === undefined) return undefined
    const wanted: [BudgetDimension, number][] = refused === undefined ? [] : [[refused.dimension, refused.amount]]
    for (const [name, amount] of Object.entries(reserve ?? {})) {
      wanted.push([budgetDimension(name), amount])
    }
    for (const [dimension, amount] of wanted) {
      const shortage = shortageOf(projection, taskId, dimension, amount)
      if (shortage?.cause === 'spent') {
        const { budget } = shortage
        if (refused === undefined && amount > budget.limit)
          this.#warnOfLimit(registered, dimension, amount, budget.limit, taskId)
        return `budget:${budget.taskId}`
      }
      if (shortage !== undefined || line.isWaitedFor(taskId, dimension)) return 'reservation'
    }
    return undefined
  }

  /** Warns once per registration, however many runs there are. */
  #warnOfLimit(
    registered: RegisteredHandler,
    dimension: BudgetDimension,
    amount: number,
    limit: number,
    taskId: TaskId,
  ): void {
    if (this.#warned.has(registered)) return
    this.#warned.add(registered)
    this.#options.logger.warn(
      { taskId, dimension, amount, limit },
      'a run is waiting for a larger budget: each attempt reserves more than the budget ever had',
    )
  }
}

function splitAtColon(blocker: Blocker): readonly [string, string] {
  const colon = blocker.indexOf(':')
  return colon === -1 ? [blocker, ''] : [blocker.slice(0, colon), blocker.slice(colon + 1)]
}

/** The prerequisites that a task still waits for. */
export function openPrerequisites(projection: TaskProjection, taskId: TaskId): readonly TaskId[] {
  return projection.prerequisites(taskId).filter((prerequisite) => !hasEnded(projection.task(prerequisite)))
}

/** The nearest task of a lineage whose budget is exhausted. */
function exhaustedAt(projection: TaskProjection, tasks: readonly Task[]): TaskId | undefined {
  for (const { spec } of tasks) {
    for (const { exhausted } of projection.budgetsOf(spec.id)) if (exhausted) return spec.id
  }
  return undefined
}
