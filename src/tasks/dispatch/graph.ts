import * as v from 'valibot'
import { decode } from '../../base/decode.js'
import type { IdSource } from '../../base/ids.js'
import { optionsSchema } from '../../base/options.js'
import { TaskError } from '../errors.js'
import type { TaskId } from '../ids.js'
import type { TaskBatch } from '../mutations.js'
import { connectInto, createInto, submitFields, type SubmitInput } from './submission.js'

/** A task of a graph; it names the others by their keys in the graph. */
export interface GraphNode<Name extends string> extends Omit<SubmitInput, 'dependsOn' | 'parentTaskId'> {
  /** Tasks of the graph that must have completed before this one may start. */
  readonly dependsOn?: readonly NoInfer<Name>[]
  /** The task of the graph below which this one stands: it spends from its budgets and is cancelled with it. */
  readonly parent?: NoInfer<Name>
  /** A parent outside the graph. */
  readonly parentTaskId?: TaskId
}

/** Tasks by name. */
export type TaskGraph<Name extends string> = { readonly [Key in Name]: GraphNode<Name> }

const nodeSchema = optionsSchema<GraphNode<string>>({
  ...submitFields,
  dependsOn: v.optional(v.array(v.string(), 'not a list')),
  parent: v.optional(v.string()),
})

const graphSchema = v.record(v.string(), nodeSchema, 'not an object of tasks by name')

/** What a caller submits, task by task; the rules of construction come later. Raises `invalid_input`. */
export function decodeGraph<Name extends string>(graph: TaskGraph<Name>): TaskGraph<Name> {
  return decode(graphSchema, graph, 'task graph') as TaskGraph<Name>
}

/**
 * Adds a whole graph to a batch: all of it becomes durable, or none. Raises `unknown_task_name`, `parent_cycle`, and what
 * submitting each task raises, `dependency_cycle` among it.
 */
export function submitGraphInto<Name extends string>(
  batch: TaskBatch,
  graph: TaskGraph<Name>,
  atMs: number,
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
  for (const name of parentsFirst(nodes)) createInto(batch, inputs.get(name) as SubmitInput, atMs, ids)
  for (const [name, input] of inputs) connectInto(batch, idOf(name, name), input, atMs, ids)
  return Object.fromEntries(taskIds) as Record<Name, TaskId>
}

function parentsFirst<Name extends string>(nodes: ReadonlyMap<Name, GraphNode<Name>>): Iterable<Name> {
  const ordered = new Set<Name>()
  for (const name of nodes.keys()) {
    // From here up to what is placed already: a chain may be as long as the graph.
    const chain = new Set<Name>()
    for (let next: Name | undefined = name; next !== undefined && !ordered.has(next); ) {
      if (chain.has(next)) throw new TaskError('parent_cycle', { name: next })
      chain.add(next)
      next = nodes.get(next)?.parent
    }
    for (const placed of [...chain].toReversed()) ordered.add(placed)
  }
  return ordered
}
