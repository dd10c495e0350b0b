import { systemClock, type Clock } from '../../src/base/clock.js'
import { DeadlineQueue } from '../../src/base/deadline-queue.js'
import { silentLogger } from '../../src/base/logger.js'
import { Tasks } from '../../src/tasks/tasks.js'
import { openTasks } from './open-tasks.js'
import { ids } from './run-life.js'
import { JobList } from '../../src/work/job-list.js'

/** What every dispatcher here handles, without doing anything. */
export const emptyKind = 'empty'

/** The tasks room with a started dispatcher and an empty handler. */
export interface OpenedDispatcher extends AsyncDisposable {
  readonly tasks: Tasks
  /** Submits a task that runs once and waits until its run has completed, durably. */
  runOnce(): Promise<void>
}

/** Opens the tasks room with a dispatcher on top; in memory without a directory. */
export async function openDispatcher({
  directory,
  clock = systemClock,
  concurrency,
}: {
  readonly directory?: string
  readonly clock?: Clock
  readonly concurrency: number
}): Promise<OpenedDispatcher> {
  const opened = await openTasks(directory)
  const deadlines = new DeadlineQueue(clock)
  const tasks = new Tasks({
    authority: opened.authority,
    clock,
    deadlines,
    ids,
    random: () => 0.5,
    jobs: new JobList(),
    logger: silentLogger,
    dispatch: { concurrency },
  })
  tasks.handle(emptyKind, () => undefined)
  await tasks.start()
  return {
    tasks,
    async runOnce() {
      const { status } = await tasks.outcome(await tasks.submit({ kind: emptyKind }))
      if (status !== 'completed') throw new Error(`a run ended ${status}`)
    },
    async [Symbol.asyncDispose]() {
      await tasks.close(0)
      deadlines[Symbol.dispose]()
      await opened[Symbol.asyncDispose]()
    },
  }
}
