/** Words of the processes room that the chart of a process speaks (P-3, P-20); spellings are those of the log. */

/** Ends that are never left again. */
export const terminalProcessStatuses = ['completed', 'failed', 'cancelled', 'abandoned'] as const
export type TerminalProcessStatus = (typeof terminalProcessStatuses)[number]

/** What a process can be; one that waits is still running. */
export const processStatuses = ['running', ...terminalProcessStatuses] as const
export type ProcessStatus = (typeof processStatuses)[number]

/** True for a status that is never left again. */
export function isTerminalProcessStatus(status: ProcessStatus): status is TerminalProcessStatus {
  return status !== 'running'
}

/**
 * What recovery may do with a process whose owner is gone. `rerunnable`: anybody may execute it again. `owner_bound`: once
 * started, nobody else ever executes it; it can only be abandoned. `externally_owned`: nobody here executes it; it ends by
 * a completion from outside, or by a request to abandon it.
 */
export const recoveryDispositions = ['rerunnable', 'owner_bound', 'externally_owned'] as const
export type RecoveryDisposition = (typeof recoveryDispositions)[number]

/**
 * By what right a process is ended. `lease`: by the one who holds it. `producer`: by an event that its registration
 * declares as an end. `external_owner`: by whoever owns it outside. `workflow_key`: by an engine that runs it under its id.
 * `reconciled_abandon`: because it was asked to be abandoned.
 */
export const endAuthorities = ['lease', 'producer', 'external_owner', 'workflow_key', 'reconciled_abandon'] as const
export type EndAuthority = (typeof endAuthorities)[number]
