import { hasEnded } from '../../tasks/task.js'
import type { TaskId, TaskProjection } from '../../tasks/index.js'
import type { GraphEdge, GraphNode, GraphRequest, GraphView } from '../stream/protocol.js'
import { taskRow } from './item-rows.js'
import type { InspectedState } from './state.js'

/** The maximum number of runs that a node shows. */
const mostRuns = 5
/** The maximum number of neighbours followed from one task, which may have a million children. */
const mostNeighbours = 1000

/** Tasks and the links between them: those around one task, or those that have not ended and the newest. */
export function graphView(state: InspectedState, { task, limit = 200 }: GraphRequest): GraphView {
  const { tasks, shown } = state
  const ids = task === undefined ? newest(tasks, limit) : around(tasks, task as TaskId, limit)
  const nodes = [...ids].flatMap((id): readonly GraphNode[] => {
    const found = tasks.task(id)
    if (found === undefined) return []
    const runs = tasks.runsOf(id).slice(-mostRuns).toReversed()
    return [
      {
        row: taskRow(tasks, found, shown),
        gate: gateOf(tasks, id),
        runs: runs.map(({ id: runId, state: runState, attemptCount }) => ({
          id: runId,
          state: runState,
          attempt: attemptCount,
        })),
      },
    ]
  })
  return { view: 'graph', nodes, edges: [...edgesAmong(tasks, ids)], total: tasks.taskCount }
}

function gateOf(tasks: TaskProjection, id: TaskId): GraphNode['gate'] {
  const gate = tasks.dependencyGate(id)
  return gate === 'waiting' ? 'closed' : gate
}

function newest(tasks: TaskProjection, limit: number): Set<TaskId> {
  const open: TaskId[] = []
  const ended: TaskId[] = []
  for (const task of tasks.tasks()) {
    const list = hasEnded(task) ? ended : open
    list.push(task.spec.id)
    // Keeps the list short even if there are a million tasks.
    if (list.length > 2 * limit) list.splice(0, list.length - limit)
  }
  return new Set([...ended, ...open].slice(-limit))
}

function around(tasks: TaskProjection, from: TaskId, limit: number): Set<TaskId> {
  const found = new Set<TaskId>()
  const queue: TaskId[] = [from]
  for (let place = 0; place < queue.length && found.size < limit; place += 1) {
    const next = queue[place] as TaskId
    const task = tasks.task(next)
    if (task === undefined || found.has(next)) continue
    found.add(next)
    const { parentTaskId, retryOf } = task.spec
    if (parentTaskId !== undefined) queue.push(parentTaskId)
    if (retryOf !== undefined) queue.push(retryOf)
    queue.push(...tasks.prerequisites(next))
    for (const neighbours of [tasks.children(next), tasks.dependents(next)]) {
      let left = mostNeighbours
      for (const id of neighbours) {
        if (left === 0) break
        left -= 1
        queue.push(id)
      }
    }
  }
  return found
}

function* edgesAmong(tasks: TaskProjection, ids: ReadonlySet<TaskId>): Iterable<GraphEdge> {
  for (const to of ids) {
    const { parentTaskId, retryOf } = tasks.task(to)?.spec ?? {}
    if (parentTaskId !== undefined && ids.has(parentTaskId)) yield { from: parentTaskId, to, type: 'child' }
    if (retryOf !== undefined && ids.has(retryOf)) yield { from: retryOf, to, type: 'retry' }
    const after = new Set(tasks.prerequisitesOfAnyEnd(to))
    for (const from of tasks.prerequisites(to)) {
      if (ids.has(from)) yield { from, to, type: after.has(from) ? 'after' : 'needs' }
    }
  }
}
