import { InvalidInputError } from '../base/errors.js'
import { parseUuid } from '../base/ids.js'
import type { TaskId } from '../tasks/index.js'
import { unknownTask } from '../tasks/task.js'
import { outcomeOf, outputValue, type TaskOutcome } from '../tasks/outcome.js'
import { phaseOf, type Task, type TaskPhase } from '../tasks/task.js'
import type { TaskProjection } from '../tasks/view.js'
import { encodeValue } from '../work/values.js'
import { followFeed } from './completions.js'
import type { HttpCall, HttpReply, HttpRoute } from './route.js'

/** Maximum number of runs shown for a task; the latest ones are shown. */
const shownRuns = 100

const phases: readonly TaskPhase[] = ['open', 'completed', 'failed', 'cancelled']

/** The routes of tasks and their completions. */
export const taskRoutes: readonly HttpRoute[] = [
  { method: 'GET', path: '/tasks', handle: listTasks },
  { method: 'GET', path: '/tasks/completions', handle: (call) => followFeed(call, { feed: call.runtime.tasks.feed }) },
  { method: 'GET', path: '/tasks/:task', handle: getTask },
]

/** The id given by `:task` in the path. Raises `invalid_input`. */
export function taskIdOf({ params }: HttpCall): TaskId {
  return parseUuid<TaskId>(params['task'] ?? '', 'task id')
}

/** How many tasks a request looks at: few of a million may be of the kind or status that is asked for. */
const lookedAtPerPage = 2000

/** Lists tasks in the order of their ids, one page at a time. */
function listTasks({ query, runtime }: HttpCall): HttpReply {
  const { projection } = runtime.tasks
  const [phase, kind, after] = [query.get('status'), query.get('kind'), query.get('after')]
  if (phase !== null && !phases.includes(phase as TaskPhase)) {
    throw new InvalidInputError({ subject: 'query', field: 'status', reason: `none of ${phases.join(', ')}` })
  }
  const limit = readLimit(query.get('limit'))
  const tasks: object[] = []
  let last = after === null ? undefined : parseUuid<TaskId>(after, 'cursor')
  let lookedAt = 0
  for (const task of projection.tasksAfter(last)) {
    const isShown = (phase ?? phaseOf(task)) === phaseOf(task) && (kind ?? task.spec.kind) === task.spec.kind
    if ((isShown && tasks.length === limit) || lookedAt === lookedAtPerPage) {
      return { status: 200, body: { tasks, next: last } }
    }
    lookedAt += 1
    if (isShown) tasks.push(describeTask(task))
    last = task.spec.id
  }
  return { status: 200, body: { tasks } }
}

function getTask(call: HttpCall): HttpReply {
  const { tasks } = call.runtime
  const taskId = taskIdOf(call)
  const task = knownTask(tasks.projection, taskId)
  const outcome = outcomeOf(tasks.projection, taskId)
  const runs = tasks.projection.runsOf(taskId).slice(-shownRuns)
  return {
    status: 200,
    body: {
      ...describeTask(task),
      runs: runs.map(({ id, state, attemptCount, scheduledAtMs, lastStateChangeAtMs }) => ({
        id,
        state,
        attempts: attemptCount,
        scheduledAtMs,
        lastStateChangeAtMs,
      })),
      questions: tasks.questions({ taskId }),
      ...(outcome !== undefined && { outcome: describeOutcome(outcome) }),
    },
  }
}

/** A task as clients see it, without its payload, which may be secret. */
function describeTask(task: Task): object {
  const { spec, createdAtMs, cancelledAtMs, progress } = task
  const { id, kind, key, parentTaskId, retryOf, metadata } = spec
  const { runs, open, completed, failed } = progress
  return {
    id,
    kind,
    key,
    status: phaseOf(task),
    description: metadata.description,
    parentTaskId,
    retryOf,
    createdAtMs,
    cancelledAtMs,
    progress: { runs, open, completed, failed },
  }
}

/** The outcome of a task; bytes are `{ "$bytes": base64 }`, as everywhere in JSON. */
function describeOutcome(outcome: TaskOutcome): object {
  const { status, error, reason, cause } = outcome
  return { status, output: encodeValue(outputValue(outcome), 'output'), error, reason, cause }
}

/** The size of a page: the requested one, from 1 to 1,000, or 100. */
function readLimit(text: string | null): number {
  if (text === null) return 100
  const limit = /^\d{1,4}$/.test(text) ? Number(text) : 0
  if (limit >= 1 && limit <= 1000) return limit
  throw new InvalidInputError({ subject: 'query', field: 'limit', reason: 'not a whole number from 1 to 1000' })
}

/** Returns the task. Raises `unknown_task`, or `no_longer_retained` if the task was forgotten. */
function knownTask(projection: TaskProjection, taskId: TaskId): Task {
  const task = projection.task(taskId)
  if (task !== undefined) return task
  throw unknownTask(projection, taskId)
}
