import type { IdSource } from '../../base/ids.js'
import { TaskError } from '../errors.js'
import type { TaskId } from '../ids.js'
import type { TaskBatch } from '../mutations.js'
import type { Timestamp } from '../scalars.js'
import { connectInto, createInto, type SubmitInput } from './submission.js'

/** A task of a graph; it names the others by their keys in the graph. */
export interface GraphNode<Name extends string> extends Omit<SubmitInput, 'dependsOn' | 'parentTaskId'> {
  /** Tasks of the graph that must have completed before this one may start. */
  readonly dependsOn?: readonly NoInfer<Name>[]
  /** The task of the graph below which this one stands: it spends from its budgets and is canceled with it. */
  readonly parent?: NoInfer<Name>
  /** A parent outside the graph. */
  readonly parentTaskId?: TaskId
}

/** Tasks by name. */
export type TaskGraph<Name extends string> = { readonly [Key in Name]: GraphNode<Name> }

/**
 * Adds a whole graph to a batch: all of it becomes durable, or none. Raises `unknown_task_name`, `parent_cycle`, and what
 * submitting each task raises, `dependency_cycle` among it.
 */
export function submitGraphInto<Name extends string>(
  batch: TaskBatch,
  graph: TaskGraph<Name>,
  timestamp: Timestamp,
  ids: IdSource,
): Readonly<Record<Name, TaskId>> {
  const nodes = new Map(Object.entries(graph) as [Name, GraphNode<Name>][])
  const taskIds = new Map(Array.from(nodes, ([name, { id }]) => [name, id ?? (ids.uuid() as TaskId)]))
  const idOf = (name: Name, usedBy: Name): TaskId => {
    const id = taskIds.get(name)
    if (id === undefined) throw new TaskError('unknown_task_name', { name, usedBy })
    return id
  }
  const inputs = new Map<Name, SubmitInput>()
  for (const [name, { dependsOn = [], parent, ...input }] of nodes) {
    inputs.set(name, {
      ...input,
      id: idOf(name, name),
      dependsOn: dependsOn.map((prerequisite) => idOf(prerequisite, name)),
      ...(parent !== undefined && { parentTaskId: idOf(parent, name) }),
    })
  }
  for (const name of parentsFirst(nodes)) createInto(batch, inputs.get(name) as SubmitInput, timestamp, ids)
  for (const [name, input] of inputs) connectInto(batch, idOf(name, name), input, timestamp, ids)
  return Object.fromEntries(taskIds) as Record<Name, TaskId>
}

function parentsFirst<Name extends string>(nodes: ReadonlyMap<Name, GraphNode<Name>>): Iterable<Name> {
  const ordered = new Set<Name>()
  const place = (name: Name, below: ReadonlySet<Name>): void => {
    if (ordered.has(name)) return
    if (below.has(name)) throw new TaskError('parent_cycle', { name })
    const parent = nodes.get(name)?.parent
    if (parent !== undefined) place(parent, new Set([...below, name]))
    ordered.add(name)
  }
  for (const name of nodes.keys()) place(name, new Set())
  return ordered
}
