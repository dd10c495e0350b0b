import { createMemoryJournal } from '../../journal/memory-journal.js'
import { createRuntime, type Runtime } from '../../runtime.js'
import type { TaskMutations, TaskProjection, Tasks } from '../../tasks/public.js'
import { SimulatedClock } from '../simulated-clock.js'
import type { TasksUnderTest } from './check.js'
import type { TasksSystem } from './port.js'

/** The needed part of a task authority. */
interface Authority extends Pick<TaskMutations, 'submit'> {
  readonly projection: TaskProjection
}

/**
 * The port of a task authority, or of that of `runtime.tasks`. Register no handler while using it: dispatch submits its
 * own commands, which the model cannot know.
 */
export function tasksPort(of: Authority | Pick<Tasks, 'authority'>): TasksSystem {
  const authority: Authority = 'authority' in of ? of.authority : of
  const { projection } = authority
  return {
    submit: (command) => authority.submit(command),
    get latestSequence() {
      return projection.latestSequence
    },
    get engine() {
      return projection.engine
    },
    task: (taskId) => projection.task(taskId),
    run: (runId) => projection.run(runId),
    step: (runId, key) => projection.step(runId, key),
    wait: (runId, key) => projection.wait(runId, key),
    dependencyGate: (taskId) => projection.dependencyGate(taskId),
    taskByKey: (key) => projection.taskByKey(key),
    retryOf: (taskId) => projection.retryOf(taskId),
    budget: (taskId, dimension) => projection.budget(taskId, dimension),
    reservations: () => projection.reservations(),
    ledger: (tenantId) => projection.ledger(tenantId),
  }
}

/** The tasks of a runtime on a journal in memory that survives a crash, to test stateward itself. */
export async function openTasks(): Promise<TasksUnderTest> {
  const store = createMemoryJournal()
  let runtime: Runtime
  const open = async (): Promise<TasksSystem> => {
    // The simulated clock never advances, so that nothing happens by itself: the commands of retention are not part of
    // the model.
    runtime = await createRuntime({ store, clock: new SimulatedClock() })
    return tasksPort(runtime.tasks)
  }
  return {
    port: await open(),
    flush: () => runtime.flush(),
    crash: async () => {
      store.crash()
      // The dead process can no longer write; closing it only stops its timers.
      await runtime.close({ policy: 'terminate' }).catch(() => {})
      return open()
    },
    close: () => runtime.close({ policy: 'terminate' }),
  }
}
