import { systemClock, type Clock } from '../../src/base/clock.js'
import { DeadlineQueue } from '../../src/base/deadline-queue.js'
import { silentLogger } from '../../src/base/logger.js'
import { createDeferred, type Deferred } from '../../src/base/promises.js'
import { plainRunner } from '../../src/tasks/dispatch/attempt-runner.js'
import { Dispatcher } from '../../src/tasks/dispatch/dispatcher.js'
import { submitInto } from '../../src/tasks/dispatch/submission.js'
import type { RunId, TaskId } from '../../src/tasks/ids.js'
import { isTerminalRunState } from '../../src/tasks/run.js'
import { openTasks, type OpenedTasks } from './open-tasks.js'
import { ids } from './run-life.js'

/** What every dispatcher here handles, without doing anything. */
export const emptyKind = 'empty'

/** A started dispatcher with an empty handler. */
export interface OpenedDispatcher extends AsyncDisposable {
  readonly tasks: OpenedTasks
  readonly dispatcher: Dispatcher
  /** Submits a task that runs once and waits until its run has ended. */
  runOnce(): Promise<void>
  /** Resolves when the run has ended. */
  ended(runId: RunId): Promise<void>
}

/** Opens the tasks room with a dispatcher on top. */
export async function openDispatcher({
  directory,
  clock = systemClock,
  concurrency,
}: {
  readonly directory?: string
  readonly clock?: Clock
  readonly concurrency: number
}): Promise<OpenedDispatcher> {
  const tasks = await openTasks(directory)
  const { authority } = tasks
  const deadlines = new DeadlineQueue(clock)
  const dispatcher = new Dispatcher({
    mutations: authority,
    projection: authority.projection,
    clock,
    deadlines,
    ids,
    random: () => 0.5,
    runner: plainRunner,
    logger: silentLogger,
    options: { concurrency },
  })
  const waiting = new Map<RunId | TaskId, Deferred<void>>()
  const answer = (id: RunId | TaskId): void => {
    waiting.get(id)?.resolve()
    waiting.delete(id)
  }
  authority.onCommit((events) => {
    for (const event of events) {
      if (event.type !== 'run_state_changed' || !isTerminalRunState(event.newState)) continue
      const run = authority.projection.run(event.runId)
      if (event.newState !== 'completed' || run === undefined) throw new Error(`run ended ${event.newState}`)
      answer(run.id)
      answer(run.taskId)
    }
  })
  const ended = (id: RunId | TaskId): Promise<void> => {
    const deferred = createDeferred<void>()
    waiting.set(id, deferred)
    return deferred.promise
  }
  dispatcher.handle(emptyKind, () => undefined)
  await dispatcher.start()
  return {
    tasks,
    dispatcher,
    ended,
    async runOnce() {
      const id = ids.uuid() as TaskId
      const end = ended(id)
      await authority.transact((batch) => submitInto(batch, { id, kind: emptyKind }, dispatcher.now(), ids))
      await end
    },
    async [Symbol.asyncDispose]() {
      await dispatcher.drain(0)
      deadlines[Symbol.dispose]()
      await tasks[Symbol.asyncDispose]()
    },
  }
}
