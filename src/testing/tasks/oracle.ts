import type { TaskCommand } from '../../tasks/public.js'
import { isOneMove, movesOf } from './composites.js'
import { applyTo } from './effects.js'
import { refusalOf } from './refusals.js'
import { OracleState } from './state.js'

/**
 * An independent model of the task authority, written from docs/spec/tasks.md: why a command is refused, or what it
 * changes. It shares nothing with the product but the names of types. Any difference from the authority is a bug in one
 * of the two.
 */
export class TasksOracle extends OracleState {
  /** Submits a command. Returns the code of the refusal, or `undefined` if the command was applied. */
  submit(command: TaskCommand): string | undefined {
    const refusal = isOneMove(command) ? refusalOf(this, command) : this.#refusalOfMoves(command)
    if (refusal !== undefined) return refusal
    this.sequence += 1
    for (const move of movesOf(this, command)) applyTo(this, move)
    return undefined
  }

  /** Tries the command on a copy first, so that a refusal of one move leaves no trace of the earlier ones. */
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
