import { createMemoryJournal } from '../../journal/memory-journal.js'
import { createRuntime, type Runtime } from '../../runtime.js'
import type { TaskMutations, TaskProjection, Tasks } from '../../tasks/public.js'
import { SimulatedClock } from '../simulated-clock.js'
import type { TasksUnderTest } from './check.js'
import type { TasksSystem } from './port.js'

/** An authority, as far as it is needed. */
interface Authority extends Pick<TaskMutations, 'submit'> {
  readonly projection: TaskProjection
}

/**
 * The port of an authority, or of the authority of `runtime.tasks`. Register no handler meanwhile: dispatch submits
 * commands of its own, which no model can know.
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

/** The tasks of a runtime over a journal in memory, which survives a crash: for a search over stateward itself. */
export async function openTasks(): Promise<TasksUnderTest> {
  const store = createMemoryJournal()
  let runtime: Runtime
  const open = async (): Promise<TasksSystem> => {
    // Of its own accord nothing happens: what retention does is no command of the model.
    runtime = await createRuntime({ store, clock: new SimulatedClock() })
    return tasksPort(runtime.tasks)
  }
  return {
    port: await open(),
    flush: () => runtime.flush(),
    crash: async () => {
      store.crash()
      // The dead process cannot write any more; closing it only ends its timers.
      await runtime.close({ policy: 'terminate' }).catch(() => {})
      return open()
    },
    close: () => runtime.close({ policy: 'terminate' }),
  }
}
