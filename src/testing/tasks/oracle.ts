import type { PlainCommand } from './port.js'
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
  submit(command: PlainCommand): string | undefined {
    const refusal = refusalOf(this, command)
    if (refusal === undefined) {
      this.sequence += 1
      applyTo(this, command)
    }
    return refusal
  }
}
