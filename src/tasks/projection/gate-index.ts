import type { TaskId } from '../ids.js'
import { phaseOf } from '../phase.js'
import type { DependencyGate, Task } from '../view.js'
import { MultiMap } from '../../base/multi-map.js'

/** What a task means to those that wait for it (spec mutation authority 7.9). */
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
