/** The terms used by the run chart of the tasks room (T-30, T-73), spelled as in the log. */

import type { Brand } from '../src/base/ids.js'

/** Identifies one attempt of a run. A UUID. */
export type AttemptId = Brand<string, 'AttemptId'>

/** States in which a run can still change. */
export const openRunStates = ['scheduled', 'ready', 'leased', 'running', 'retry_wait', 'suspended'] as const

/** States that a run never leaves again. */
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

/** A lease of a run: its holder may work on the run until `expiresAtMs`. */
export interface Lease {
  /** Non-empty. */
  readonly owner: string
  /** Epoch milliseconds. The lease has expired when now >= expiresAtMs. */
  readonly expiresAtMs: number
  /** Grows with every acquisition, which distinguishes the current holder from earlier ones. */
  readonly fencingToken: number
}
