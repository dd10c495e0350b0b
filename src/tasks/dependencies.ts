import * as v from 'valibot'
import { MultiMap, noValues } from '../base/multi-map.js'
import { commandDefiner } from '../state/command.js'
import type { Draft } from '../state/draft.js'
import { eventDefiner } from '../state/event.js'
import { rowDefiner } from '../state/row.js'
import type { Table } from '../state/table.js'
import { TaskError } from './errors.js'
import type { TaskId } from './ids.js'
import { idSchema, ofTask, taskIdsSchema } from './scalars.js'
import { knownTask, phaseOf, storedTask, type Task, type TaskReads, type TaskRows } from './task.js'

/** Whether the prerequisites of a task allow it to run (T-194). */
export type DependencyGate = 'open' | 'waiting' | 'failed'

/** The prerequisites of a task, each list in the order of declaration. No task is in both lists. An immutable row. */
export interface Prerequisites {
  readonly taskId: TaskId
  /** Tasks that must complete. */
  readonly dependsOn: readonly TaskId[]
  /** Tasks that must end, in any way; absent when there are none. */
  readonly after?: readonly TaskId[]
}

/** The tables defined in this file. */
export interface DependencyRows extends TaskRows {
  readonly prerequisites: Table<TaskId, Prerequisites>
  /** How many tasks depend on a task; absent for none. */
  readonly dependentCounts: Table<TaskId, number>
}

/** The reads defined in this file. */
export interface DependencyReads extends TaskReads {
  /**
   * All prerequisites: those that must complete, then those that only have to end, each in the order of declaration.
   */
  prerequisites(taskId: TaskId): readonly TaskId[]
  /** The prerequisites that only have to end. */
  prerequisitesOfAnyEnd(taskId: TaskId): readonly TaskId[]
  /** True when another task depends on this one. */
  hasDependents(taskId: TaskId): boolean
}

type DependencyDraft = Draft<DependencyRows, DependencyReads>

const defineEvent = eventDefiner<DependencyRows, DependencyReads>()
const defineCommand = commandDefiner<DependencyReads>()
const defineRow = rowDefiner<DependencyRows, DependencyReads>()

/** Fields of a declaration; `after` is absent where it would be empty. */
const declared = { dependsOn: taskIdsSchema, after: v.exactOptional(taskIdsSchema) }

/** Adds prerequisites to the task's set. */
export const dependencyDeclared = defineEvent('dependency_declared', {
  fields: { ...ofTask, ...declared },
  evolve: (draft, { taskId, dependsOn, after = [] }) => {
    const known = listsOf(draft.view, taskId)
    const wanted = { dependsOn: union(known.dependsOn, dependsOn), after: union(known.after, after) }
    const isMore = wanted.dependsOn.length > known.dependsOn.length || wanted.after.length > known.after.length
    if (isMore) putPrerequisites(draft, taskId, wanted)
  },
})

/** Checks: list not empty; task known; each prerequisite known, in order; none of both kinds; no cycle. */
export const dependencyDeclare = defineCommand('dependency_declare', {
  fields: { ...ofTask, ...declared },
  decide: (view, { taskId, dependsOn, after = [], atMs }, sequence) => {
    const prerequisites = [...dependsOn, ...after]
    if (prerequisites.length === 0) throw new TaskError('empty_dependency_list', { taskId })
    knownTask(view, taskId)
    for (const prerequisite of prerequisites) knownTask(view, prerequisite)
    const known = listsOf(view, taskId)
    const ofBoth = inBoth(union(known.dependsOn, dependsOn), union(known.after, after))
    if (ofBoth !== undefined) throw new TaskError('conflicting_dependency', { taskId, prerequisite: ofBoth })
    const cycleThrough = findCycle(view, taskId, prerequisites)
    if (cycleThrough !== undefined) throw new TaskError('dependency_cycle', { taskId, cycleThrough })
    const lists = { dependsOn, ...(after.length > 0 && { after }) }
    return {
      event: dependencyDeclared.create(sequence, { taskId, ...lists, atMs }),
      applied: { type: 'dependency_declare', taskId, ...lists } as const,
    }
  },
})

/** Prerequisites that were declared in several events may not fit one record, so the row may be split. */
export const prerequisitesRow = defineRow('prerequisites', {
  fields: { taskId: idSchema<TaskId>(), ...declared },
  lists: ['dependsOn', 'after'],
  capture: ({ prerequisites }) => prerequisites.rows(),
  restore: (draft, { taskId, dependsOn, after = [] }) => {
    const all = [...dependsOn, ...after]
    if (draft.view.prerequisites(taskId).length > 0 || new Set(all).size < all.length) {
      throw new TaskError('snapshot_duplicate_dependency', { taskId })
    }
    storedTask(draft, taskId, 'prerequisites')
    putPrerequisites(draft, taskId, { dependsOn, after })
  },
})

/** Both lists of a task. */
interface PrerequisiteLists {
  readonly dependsOn: readonly TaskId[]
  readonly after: readonly TaskId[]
}

function listsOf(view: DependencyReads, taskId: TaskId): PrerequisiteLists {
  const after = view.prerequisitesOfAnyEnd(taskId)
  const all = view.prerequisites(taskId)
  return { dependsOn: all.slice(0, all.length - after.length), after }
}

/** The known ids in their order, then the new ones. */
function union(known: readonly TaskId[], added: readonly TaskId[]): readonly TaskId[] {
  return [...new Set([...known, ...added])]
}

/** The first id that is in both lists. */
function inBoth(one: readonly TaskId[], other: readonly TaskId[]): TaskId | undefined {
  if (one.length === 0 || other.length === 0) return undefined
  const found = new Set(one)
  return other.find((taskId) => found.has(taskId))
}

/** Stages the prerequisites of a task, appending to what each list had. */
function putPrerequisites(draft: DependencyDraft, taskId: TaskId, { dependsOn, after }: PrerequisiteLists): void {
  const { tables, view } = draft
  const known = listsOf(view, taskId)
  for (const added of [...dependsOn.slice(known.dependsOn.length), ...after.slice(known.after.length)]) {
    // A prerequisite that has been forgotten since no longer counts.
    if (view.task(added) === undefined) continue
    draft.put(tables.dependentCounts, added, (tables.dependentCounts.latest(added) ?? 0) + 1)
  }
  draft.put(tables.prerequisites, taskId, { taskId, dependsOn, ...(after.length > 0 && { after }) })
}

/** The first prerequisite that depends on the task itself, directly or through others. */
function findCycle(view: DependencyReads, taskId: TaskId, dependsOn: readonly TaskId[]): TaskId | undefined {
  // A task without dependents can only close a cycle with itself. This spares a search per declaration while a graph is
  // built.
  if (!view.hasDependents(taskId)) return dependsOn.find((prerequisite) => prerequisite === taskId)
  const reached = new Set<TaskId>()
  return dependsOn.find((prerequisite) => leadsTo(view, prerequisite, taskId, reached))
}

/**
 * Breadth-first search for `goal` from `start`, through prerequisites; ids in `reached` were searched before, without
 * success.
 */
function leadsTo(view: DependencyReads, start: TaskId, goal: TaskId, reached: Set<TaskId>): boolean {
  const next = new Set([start])
  for (const taskId of next) {
    if (taskId === goal) return true
    if (reached.has(taskId)) continue
    reached.add(taskId)
    for (const prerequisite of view.prerequisites(taskId)) next.add(prerequisite)
  }
  return false
}

/** The state of a prerequisite, as its dependents see it (T-194). */
type PrerequisiteState = 'pending' | 'satisfied' | 'failed'

interface Gate {
  pending: number
  failed: number
}

/**
 * Which tasks depend on which, in both directions, and how many prerequisites of each are still pending.
 *
 * "Satisfied" and "may run" are different things: a task whose gate is open has not completed because of it.
 */
export class GateIndex {
  readonly #gates = new Map<TaskId, Gate>()
  /** Tasks that need this one to complete. */
  readonly #dependents = new MultiMap<TaskId, TaskId>()
  /** Tasks that need this one only to end. */
  readonly #followers = new MultiMap<TaskId, TaskId>()
  readonly #taskOf: (taskId: TaskId) => Task | undefined
  readonly #onChange: (taskId: TaskId) => void

  /** `onChange` is called for every task whose gate has changed. */
  constructor(taskOf: (taskId: TaskId) => Task | undefined, onChange: (taskId: TaskId) => void) {
    this.#taskOf = taskOf
    this.#onChange = onChange
  }

  /** The gate of a task. */
  gate(taskId: TaskId): DependencyGate {
    const gate = this.#gates.get(taskId)
    if (gate === undefined) return 'open'
    if (gate.failed > 0) return 'failed'
    return gate.pending > 0 ? 'waiting' : 'open'
  }

  /** Tasks that depend on this one, in either way. */
  dependents(taskId: TaskId): Iterable<TaskId> {
    const followers = this.#followers.get(taskId)
    const dependents = this.#dependents.get(taskId)
    return followers === noValues ? dependents : both(dependents, followers)
  }

  /** Applies a committed change of a task's prerequisites. They only grow, until the task is forgotten. */
  declare(taskId: TaskId, before: Prerequisites | undefined, after: Prerequisites | undefined): void {
    if (after === undefined) return this.#forget(taskId, before)
    const gate = this.#gates.get(taskId) ?? { pending: 0, failed: 0 }
    this.#gates.set(taskId, gate)
    const wasOpen = isOpen(gate)
    for (const prerequisite of addedTo(before?.dependsOn, after?.dependsOn)) {
      this.#dependents.add(prerequisite, taskId)
      count(gate, stateOf(this.#taskOf(prerequisite)), 1)
    }
    for (const prerequisite of addedTo(before?.after, after?.after)) {
      this.#followers.add(prerequisite, taskId)
      count(gate, stateForFollowers(stateOf(this.#taskOf(prerequisite))), 1)
    }
    if (isOpen(gate) !== wasOpen) this.#onChange(taskId)
  }

  /** Applies a committed change of a task. */
  update(taskId: TaskId, before: Task | undefined, after: Task | undefined): void {
    const [was, is] = [stateOf(before), stateOf(after)]
    if (was === is) return
    for (const dependent of this.#dependents.get(taskId)) this.#recount(dependent, was, is)
    for (const follower of this.#followers.get(taskId)) {
      this.#recount(follower, stateForFollowers(was), stateForFollowers(is))
    }
  }

  #forget(taskId: TaskId, { dependsOn = [], after = [] }: Partial<Prerequisites> = {}): void {
    this.#gates.delete(taskId)
    for (const prerequisite of dependsOn) this.#dependents.delete(prerequisite, taskId)
    for (const prerequisite of after) this.#followers.delete(prerequisite, taskId)
  }

  #recount(taskId: TaskId, was: PrerequisiteState, is: PrerequisiteState): void {
    const gate = this.#gates.get(taskId)
    if (gate === undefined) return
    const wasOpen = isOpen(gate)
    count(gate, was, -1)
    count(gate, is, 1)
    if (isOpen(gate) !== wasOpen) this.#onChange(taskId)
  }
}

function* both(some: Iterable<TaskId>, others: Iterable<TaskId>): Iterable<TaskId> {
  yield* some
  yield* others
}

/** The ids that were added to a list. */
function addedTo(before: readonly TaskId[] = [], after: readonly TaskId[] = []): readonly TaskId[] {
  return after.slice(before.length)
}

/** For tasks that only need this one to end, a failure is as good as a completion. */
function stateForFollowers(state: PrerequisiteState): PrerequisiteState {
  return state === 'failed' ? 'satisfied' : state
}

function isOpen({ pending, failed }: Gate): boolean {
  return pending === 0 && failed === 0
}

function count(gate: Gate, state: PrerequisiteState, by: 1 | -1): void {
  if (state === 'pending') gate.pending += by
  if (state === 'failed') gate.failed += by
}

/** A forgotten task counts as satisfied: it has ended, and nothing waits for it. */
function stateOf(task: Task | undefined): PrerequisiteState {
  const phase = task === undefined ? 'completed' : phaseOf(task)
  if (phase === 'open') return 'pending'
  return phase === 'completed' ? 'satisfied' : 'failed'
}
