import type { TaskCommand } from '../../tasks/public.js'
import { isOneMove, movesOf } from './composites.js'
import { applyTo } from './effects.js'
import { refusalOf } from './refusals.js'
import { OracleState } from './state.js'

/**
 * An independent model of the authority over tasks, written from docs/spec/tasks.md: what
 * every command is refused with, or what it changes. Nothing is shared with the product but the names of types; whatever
 * it says that the authority does not do is a bug of one of the two.
 */
export class TasksOracle extends OracleState {
  /** The refusal's code; without one the command has been applied. */
  submit(command: TaskCommand): string | undefined {
    const refusal = isOneMove(command) ? refusalOf(this, command) : this.#refusalOfMoves(command)
    if (refusal !== undefined) return refusal
    this.sequence += 1
    for (const move of movesOf(this, command)) applyTo(this, move)
    return undefined
  }

  /** Tried out on a copy, so that a refusal leaves nothing of the moves before it. */
  #refusalOfMoves(command: TaskCommand): string | undefined {
    const trial = this.copy()
    trial.sequence += 1
    for (const move of movesOf(trial, command)) {
      const refusal = refusalOf(trial, move)
      if (refusal !== undefined) return refusal
      applyTo(trial, move)
    }
    return undefined
  }
}
