import * as taskLines from '../../../../src/tasks/task-lines.js'
import { onTestFinished } from 'vitest'
import { DeadlineQueue } from '../../../../src/base/deadline-queue.js'
import { checkedIds } from '../../../../src/base/checked-ids.js'
import { createUuidSource, type IdSource } from '../../../../src/base/ids.js'
import { silentLogger } from '../../../../src/base/logger.js'
import { createMemoryJournal, type MemoryJournalStore } from '../../../../src/journal/memory-journal.js'
import { Lane } from '../../../../src/lane/lane.js'
import {
  TaskAuthority,
  Tasks,
  type DispatchOptions,
  type RetentionOptions,
  type Run,
  type RunState,
  type TaskId,
} from '../../../../src/tasks/index.js'
import { SimulatedClock } from '../../../../src/testing/simulated-clock.js'
import { JobList } from '../../../../src/work/job-list.js'

/** Epoch milliseconds at which simulated time begins. */
export const start = 1_000_000_000

export interface Room {
  readonly tasks: Tasks
  readonly authority: TaskAuthority
  readonly lane: Lane
  readonly clock: SimulatedClock
  readonly store: MemoryJournalStore
  /** What the dispatcher has warned of, and what it called an error. */
  readonly warnings: readonly string[]
  readonly errors: readonly string[]
  /** Lets everything happen that needs no time to pass. */
  settle(): Promise<void>
  /** Lets seconds pass, one by one, and everything happen in each. */
  pass(seconds: number): Promise<void>
  /** Ends without any goodbye and opens again on what the journal holds, after `seconds`. */
  crash(seconds?: number, dispatch?: DispatchOptions): Promise<Room>
  runsOf(taskId: TaskId): readonly Run[]
  statesOf(taskId: TaskId): readonly RunState[]
}

export interface RoomOptions {
  readonly store?: MemoryJournalStore
  readonly clock?: SimulatedClock
  readonly dispatch?: DispatchOptions
  readonly retention?: RetentionOptions
  readonly random?: () => number
  readonly ids?: IdSource
}

const livesOfTasks = new Set(Object.values(taskLines).map(({ message }) => message))

/** The tasks room on a journal in memory and simulated time. Nothing is dispatched before a handler is registered. */
export async function openRoom(options: RoomOptions = {}): Promise<Room> {
  const { store = createMemoryJournal(), clock = new SimulatedClock(start), random = () => 0 } = options
  const warnings: string[] = []
  const errors: string[] = []
  const authority = new TaskAuthority()
  const lane = await Lane.open({ store, streamFor: () => authority })
  authority.start(lane)
  const deadlines = new DeadlineQueue(clock)
  // As the runtime does.
  const ids = options.ids === undefined ? createUuidSource({ now: () => clock.wallNow() }) : checkedIds(options.ids)
  const tasks = new Tasks({
    authority,
    clock,
    deadlines,
    ids,
    random,
    logger: {
      ...silentLogger,
      // How tasks end is looked at where they are.
      warn: (_, message) => {
        if (!livesOfTasks.has(message)) warnings.push(message)
      },
      error: (_, message) => errors.push(message),
    },
    jobs: new JobList(),
    ...(options.dispatch !== undefined && { dispatch: options.dispatch }),
    ...(options.retention !== undefined && { retention: options.retention }),
  })
  let isOver = false
  const end = async (): Promise<void> => {
    if (isOver) return
    isOver = true
    deadlines[Symbol.dispose]()
    await lane.close()
  }
  onTestFinished(end)
  const settle = async (): Promise<void> => {
    for (let quiet = 0; quiet < 3; quiet += 1) {
      const before = authority.projection.latestSequence
      await lane.settled()
      await new Promise((resolve) => {
        setImmediate(resolve)
      })
      if (authority.projection.latestSequence !== before) quiet = -1
    }
  }
  return {
    tasks,
    authority,
    lane,
    clock,
    store,
    warnings,
    errors,
    settle,
    async pass(seconds) {
      await settle()
      for (let second = 0; second < seconds; second += 1) {
        clock.advance(1000)
        await settle()
      }
    },
    async crash(seconds = 0, dispatch = options.dispatch) {
      await end()
      clock.advance(seconds * 1000)
      return openRoom({ ...options, store, clock, ...(dispatch !== undefined && { dispatch }) })
    },
    runsOf: (taskId) => authority.projection.runsOf(taskId),
    statesOf: (taskId) => authority.projection.runsOf(taskId).map(({ state }) => state),
  }
}
