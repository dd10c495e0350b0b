/** Words of the tasks room that the run chart speaks (T-30, T-73); spellings are those of the log. */

import type { Brand } from '../src/base/ids.js'

/** Identifies one execution attempt of a run; a UUID. */
export type AttemptId = Brand<string, 'AttemptId'>

/** States in which a run can still change. */
export const openRunStates = ['scheduled', 'ready', 'leased', 'running', 'retry_wait', 'suspended'] as const

/** States that are never left again. */
export const terminalRunStates = ['completed', 'failed', 'cancelled'] as const
export type TerminalRunState = (typeof terminalRunStates)[number]

/** The nine states of a run, in the order of spec 1.7. */
export const runStates = [...openRunStates, ...terminalRunStates] as const
export type RunState = (typeof runStates)[number]

/** True for a state that is never left again. */
export function isTerminalRunState(state: RunState): state is TerminalRunState {
  return terminal.has(state)
}

const terminal: ReadonlySet<string> = new Set(terminalRunStates)

/** A claim on a run: whoever holds it may work on the run until `expiresAtMs`. */
export interface Lease {
  /** Non-empty. */
  readonly owner: string
  /** Epoch milliseconds; expired when now >= expiresAtMs. */
  readonly expiresAtMs: number
  /** Grows with every acquire, so that a superseded holder can be told from the current one. */
  readonly fencingToken: number
}
