import type { CommandOf, TaskCommand } from '../../tasks/public.js'
import type { PlainCommand } from './port.js'
import type { OracleState } from './state.js'

/** True for a command that is not a composite. */
export function isOneMove(command: TaskCommand): command is PlainCommand {
  return command.type !== 'attempt_begin' && command.type !== 'attempt_end'
}

/**
 * The moves of a command, in order; each is computed from the state that the previous ones have led to. A command that
 * is not a composite is its own only move. A composite is refused with the refusal of its first refused move, and then
 * changes nothing.
 */
export function* movesOf(state: OracleState, command: TaskCommand): Iterable<PlainCommand> {
  if (isOneMove(command)) yield command
  else if (command.type === 'attempt_begin') yield* begin(state, command)
  else yield* end(state, command)
}

function* begin(state: OracleState, command: CommandOf<'attempt_begin'>): Iterable<PlainCommand> {
  const { runId, attemptId, previousState, owner, expiresAtMs, reservations = [], atMs } = command
  const ofRun = { runId, atMs }
  const taskId = state.runs.get(runId)?.task as CommandOf<'budget_reserve'>['taskId'] | undefined
  if (taskId !== undefined) for (const item of reservations) yield { type: 'budget_reserve', ...ofRun, ...item, taskId }
  if (previousState !== undefined) yield { type: 'run_state_transition', ...ofRun, previousState, newState: 'ready' }
  yield { type: 'run_state_transition', ...ofRun, previousState: 'ready', newState: 'leased' }
  yield { type: 'lease_acquire', ...ofRun, owner, expiresAtMs }
  const fencingToken = state.sequence
  yield { type: 'run_state_transition', ...ofRun, previousState: 'leased', newState: 'running', fencingToken }
  yield { type: 'attempt_start', ...ofRun, attemptId, fencingToken }
}

function* end(state: OracleState, command: CommandOf<'attempt_end'>): Iterable<PlainCommand> {
  const { runId, attemptId, outcome, newState, fencingToken, atMs } = command
  const { settlements = [], consumptions = [], runs = [], triggers = [], reason, retryAtMs, resume } = command
  const ofRun = { runId, atMs }
  const fence = fencingToken === undefined ? {} : { fencingToken }
  yield { type: 'attempt_finish', ...ofRun, ...fence, attemptId, outcome }
  const run = state.runs.get(runId)
  if (run === undefined) return
  const taskId = run.task as CommandOf<'budget_consume'>['taskId']
  if (run.lease !== undefined) {
    const { owner, expiresAtMs } = run.lease
    yield { type: 'lease_release', ...ofRun, ...fence, owner, expiresAtMs }
  }
  for (const settlement of settlements) yield { type: 'budget_settle', ...settlement, atMs }
  for (const consumption of consumptions) yield { type: 'budget_consume', taskId, ...consumption, atMs }
  if (newState === 'suspended') yield { type: 'run_suspend', ...ofRun, ...(reason !== undefined && { reason }) }
  else {
    const retry = retryAtMs === undefined ? {} : { retryAtMs }
    yield { type: 'run_state_transition', ...ofRun, previousState: 'running', newState, ...retry }
  }
  for (const runInstance of runs) yield { type: 'run_create', runInstance }
  if (resume === true) yield { type: 'run_resume', ...ofRun }
  for (const subscriptionId of triggers) yield { type: 'subscription_trigger', subscriptionId, atMs }
}
