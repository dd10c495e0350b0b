import { MultiMap } from '../base/multi-map.js'
import { commandDefiner } from '../state/command.js'
import type { Draft } from '../state/draft.js'
import { eventDefiner } from '../state/event.js'
import { rowDefiner } from '../state/row.js'
import type { Table } from '../state/table.js'
import { TaskError } from './errors.js'
import type { TaskId } from './ids.js'
import { idSchema, ofTask, taskIdsSchema } from './scalars.js'
import { knownTask, phaseOf, storedTask, type Task, type TaskReads, type TaskRows } from './task.js'

/** Whether the prerequisites of a task let it run (T-194). */
export type DependencyGate = 'open' | 'waiting' | 'failed'

/** The tasks that one waits for, in the order of their declaration. An immutable row. */
export interface Prerequisites {
  readonly taskId: TaskId
  readonly dependsOn: readonly TaskId[]
}

/** Tables of this file. */
export interface DependencyRows extends TaskRows {
  readonly prerequisites: Table<TaskId, Prerequisites>
  /** How many tasks wait for a task; absent when none does. */
  readonly dependentCounts: Table<TaskId, number>
}

/** Reads of this file. */
export interface DependencyReads extends TaskReads {
  /** Prerequisites in the order of their declaration. */
  prerequisites(taskId: TaskId): readonly TaskId[]
  /** True when another task waits for this one. */
  hasDependents(taskId: TaskId): boolean
}

type DependencyDraft = Draft<DependencyRows, DependencyReads>

const defineEvent = eventDefiner<DependencyRows, DependencyReads>()
const defineCommand = commandDefiner<DependencyReads>()
const defineRow = rowDefiner<DependencyRows, DependencyReads>()

/** Adds prerequisites to the task's set. */
export const dependencyDeclared = defineEvent('dependency_declared', {
  fields: { ...ofTask, dependsOn: taskIdsSchema },
  evolve: (draft, { taskId, dependsOn }) => {
    const declared = draft.view.prerequisites(taskId)
    const union = [...new Set([...declared, ...dependsOn])]
    if (union.length > declared.length) putPrerequisites(draft, taskId, union)
  },
})

/** Checks: list not empty; task known; each prerequisite known, in order; no cycle. */
export const dependencyDeclare = defineCommand('dependency_declare', {
  fields: { ...ofTask, dependsOn: taskIdsSchema },
  decide: (view, { taskId, dependsOn, atMs }, sequence) => {
    if (dependsOn.length === 0) throw new TaskError('empty_dependency_list', { taskId })
    knownTask(view, taskId)
    for (const prerequisite of dependsOn) knownTask(view, prerequisite)
    const cycleThrough = findCycle(view, taskId, dependsOn)
    if (cycleThrough !== undefined) throw new TaskError('dependency_cycle', { taskId, cycleThrough })
    return {
      event: dependencyDeclared.create(sequence, { taskId, dependsOn, atMs }),
      applied: { type: 'dependency_declare', taskId, dependsOn } as const,
    }
  },
})

/** What was declared in many events need not fit one record. */
export const prerequisitesRow = defineRow('prerequisites', {
  fields: { taskId: idSchema<TaskId>(), dependsOn: taskIdsSchema },
  lists: ['dependsOn'],
  capture: ({ prerequisites }) => prerequisites.rows(),
  restore: (draft, { taskId, dependsOn }) => {
    if (draft.view.prerequisites(taskId).length > 0 || new Set(dependsOn).size < dependsOn.length) {
      throw new TaskError('snapshot_duplicate_dependency', { taskId })
    }
    storedTask(draft, taskId, 'prerequisites')
    for (const prerequisite of dependsOn) {
      if (draft.view.task(prerequisite) === undefined) {
        throw new TaskError('snapshot_unknown_prerequisite', { taskId, prerequisite })
      }
    }
    putPrerequisites(draft, taskId, dependsOn)
  },
})

/** Stages the prerequisites of a task, which begin with those it has. */
function putPrerequisites(draft: DependencyDraft, taskId: TaskId, dependsOn: readonly TaskId[]): void {
  const { tables, view } = draft
  for (const added of dependsOn.slice(view.prerequisites(taskId).length)) {
    draft.put(tables.dependentCounts, added, (tables.dependentCounts.latest(added) ?? 0) + 1)
  }
  draft.put(tables.prerequisites, taskId, { taskId, dependsOn })
}

/** The first prerequisite that waits for the task itself, over however many others. */
function findCycle(view: DependencyReads, taskId: TaskId, dependsOn: readonly TaskId[]): TaskId | undefined {
  // A task that nobody waits for closes no cycle but with itself: a graph is built without searching it again and again.
  if (!view.hasDependents(taskId)) return dependsOn.find((prerequisite) => prerequisite === taskId)
  const reached = new Set<TaskId>()
  return dependsOn.find((prerequisite) => leadsTo(view, prerequisite, taskId, reached))
}

/** Whether following prerequisites from `start`, breadth first, reaches `goal`; what was `reached` before did not. */
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

/** What a task means to those that wait for it (T-194). */
type PrerequisiteState = 'pending' | 'satisfied' | 'failed'

interface Gate {
  pending: number
  failed: number
}

/**
 * Which tasks wait for which, both ways, and how many prerequisites of each are still open.
 *
 * "Satisfied" and "may run" are kept apart: a task whose gate is open has not thereby completed.
 */
export class GateIndex {
  readonly #gates = new Map<TaskId, Gate>()
  readonly #dependents = new MultiMap<TaskId, TaskId>()
  readonly #taskOf: (taskId: TaskId) => Task | undefined
  readonly #onChange: (taskId: TaskId) => void

  /** `onChange` hears of every task whose gate has opened or closed. */
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

  /** Tasks that wait for this one. */
  dependents(taskId: TaskId): Iterable<TaskId> {
    return this.#dependents.get(taskId)
  }

  /** Takes a committed change of a task's prerequisites; they only ever grow. */
  declare(taskId: TaskId, before: readonly TaskId[] = [], after: readonly TaskId[] = []): void {
    const gate = this.#gates.get(taskId) ?? { pending: 0, failed: 0 }
    this.#gates.set(taskId, gate)
    const wasOpen = isOpen(gate)
    for (const prerequisite of after.slice(before.length)) {
      this.#dependents.add(prerequisite, taskId)
      count(gate, stateOf(this.#taskOf(prerequisite)), 1)
    }
    if (isOpen(gate) !== wasOpen) this.#onChange(taskId)
  }

  /** Takes a committed change of a task. */
  update(taskId: TaskId, before: Task | undefined, after: Task | undefined): void {
    const [was, is] = [stateOf(before), stateOf(after)]
    if (was === is) return
    for (const dependent of this.dependents(taskId)) {
      const gate = this.#gates.get(dependent)
      if (gate === undefined) continue
      const wasOpen = isOpen(gate)
      count(gate, was, -1)
      count(gate, is, 1)
      if (isOpen(gate) !== wasOpen) this.#onChange(dependent)
    }
  }
}

function isOpen({ pending, failed }: Gate): boolean {
  return pending === 0 && failed === 0
}

function count(gate: Gate, state: PrerequisiteState, by: 1 | -1): void {
  if (state === 'pending') gate.pending += by
  if (state === 'failed') gate.failed += by
}

function stateOf(task: Task | undefined): PrerequisiteState {
  const phase = task === undefined ? 'open' : phaseOf(task)
  if (phase === 'open') return 'pending'
  return phase === 'completed' ? 'satisfied' : 'failed'
}
