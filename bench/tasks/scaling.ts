import { cancelTask } from '../../src/tasks/dispatch/runs.js'
import { submitInto } from '../../src/tasks/dispatch/submission.js'
import { fire } from '../../src/tasks/dispatch/triggers.js'
import type { RunId, SubscriptionId, TaskId } from '../../src/tasks/ids.js'
import type { TaskBatch } from '../../src/tasks/authority.js'
import { createRun } from '../../src/tasks/run.js'
import { elapsed, type BenchOptions, type Cell } from '../harness.js'
import type { Part } from '../tasks.js'
import { emptyKind, openDispatcher } from './open-dispatcher.js'
import { openTasks, type OpenedTasks } from './open-tasks.js'
import { epoch, ids } from './run-life.js'

/** Builds and takes apart something of `count` parts, in memory. */
type Shape = (count: number) => Promise<void>

/** Parts that are built in one batch. */
const chunk = 1_000

async function inChunks({ authority }: OpenedTasks, count: number, add: (batch: TaskBatch) => void): Promise<void> {
  for (let done = 0; done < count; done += chunk) {
    const wanted = Math.min(chunk, count - done)
    await authority.transact((batch) => {
      for (let number = 0; number < wanted; number += 1) add(batch)
    })
  }
}

function submit(
  batch: TaskBatch,
  more: { readonly dependsOn?: readonly TaskId[]; readonly parentTaskId?: TaskId },
): TaskId {
  return submitInto(batch, { kind: emptyKind, ...more }, epoch, ids)
}

const shapes: Readonly<Record<string, Shape>> = {
  'runs of one task, then cancelled': async (count) => {
    await using tasks = await openTasks()
    const taskId = await tasks.authority.transact((batch) => submit(batch, {}))
    await inChunks(tasks, count, (batch) => {
      const runInstance = createRun({ id: ids.uuid() as RunId, taskId, createdAtMs: epoch, scheduledAtMs: epoch })
      batch.submit({ type: 'run_create', runInstance })
    })
    await tasks.authority.transact((batch) => cancelTask(batch, taskId, epoch))
  },
  'children of one task, then cancelled': async (count) => {
    await using tasks = await openTasks()
    const parentTaskId = await tasks.authority.transact((batch) => submit(batch, {}))
    await inChunks(tasks, count, (batch) => void submit(batch, { parentTaskId }))
    const children = [...tasks.authority.projection.children(parentTaskId)]
    await tasks.authority.transact((batch) => {
      for (const child of children) cancelTask(batch, child, epoch)
    })
  },
  'dependents of one task, then let go': async (count) => {
    await using tasks = await openTasks()
    const first = await tasks.authority.transact((batch) => submit(batch, {}))
    await inChunks(tasks, count, (batch) => void submit(batch, { dependsOn: [first] }))
    await tasks.authority.transact((batch) => cancelTask(batch, first, epoch))
  },
  'tasks in a chain of dependencies': async (count) => {
    await using tasks = await openTasks()
    let last = await tasks.authority.transact((batch) => submit(batch, {}))
    await inChunks(tasks, count, (batch) => {
      last = submit(batch, { dependsOn: [last] })
    })
  },
  'subscriptions to one task, then triggered': async (count) => {
    await using tasks = await openTasks()
    const { authority } = tasks
    const taskId = await authority.transact((batch) => submit(batch, {}))
    const filter = { type: 'run_state_changed', taskId, state: 'completed' } as const
    await inChunks(tasks, count, (batch) => {
      const subscriptionId = ids.uuid() as SubscriptionId
      batch.submit({ type: 'subscription_create', subscriptionId, taskId, filter, atMs: epoch })
    })
    const event = { type: 'run_changed_state', taskId, newState: 'completed' } as const
    await authority.transact((batch) => fire(batch, authority.projection, event, epoch))
  },
  'runs that share one concurrency key, dispatched': async (count) => {
    await using opened = await openDispatcher({ concurrency: 4 })
    const constraints = { concurrencyKey: 'one' }
    const submitted = Array.from({ length: count }, () => opened.tasks.submit({ kind: emptyKind, constraints }))
    await Promise.all((await Promise.all(submitted)).map((taskId) => opened.tasks.outcome(taskId)))
  },
}

/** What one part costs when there are few and when there are many of a kind: nothing may be quadratic. */
export async function measureScaling({ quick, progress }: BenchOptions): Promise<Part> {
  const [few, many] = quick ? [2_000, 20_000] : [10_000, 100_000]
  const rows: Record<string, Cell>[] = []
  let worst = 0
  for (const [what, shape] of Object.entries(shapes)) {
    progress(`${many} ${what}`)
    await shape(few)
    const [ofFew, ofMany] = [(await elapsed(() => shape(few))) / few, (await elapsed(() => shape(many))) / many]
    rows.push({ what, [`us each of ${few}`]: ofFew * 1000, [`us each of ${many}`]: ofMany * 1000 })
    worst = Math.max(worst, ofMany / ofFew)
  }
  return { rows, ratios: { worstScaling: worst } }
}
