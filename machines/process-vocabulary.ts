/** The terms used by the chart of a process (P-3, P-20), spelled as in the log. */

/** Statuses that a process never leaves again. */
export const terminalProcessStatuses = ['completed', 'failed', 'cancelled', 'abandoned'] as const
export type TerminalProcessStatus = (typeof terminalProcessStatuses)[number]

/** The statuses of a process. A process that waits is still running. */
export const processStatuses = ['running', ...terminalProcessStatuses] as const
export type ProcessStatus = (typeof processStatuses)[number]

/** True for a status that is never left again. */
export function isTerminalProcessStatus(status: ProcessStatus): status is TerminalProcessStatus {
  return status !== 'running'
}

/**
 * What recovery may do with a process whose owner is gone. `rerunnable`: any host may execute it again.
 * `owner_bound`: once started, no other host ever executes it; it can only be abandoned. `externally_owned`: it is
 * not executed here; it ends by a completion from outside, or by a request to abandon it.
 */
export const recoveryDispositions = ['rerunnable', 'owner_bound', 'externally_owned'] as const
export type RecoveryDisposition = (typeof recoveryDispositions)[number]

/**
 * Who is entitled to end a process. `lease`: the holder of its lease. `producer`: an event that its registration
 * declares as an end. `external_owner`: its owner outside. `workflow_key`: an engine that runs it under its id.
 * `reconciled_abandon`: a request to abandon it.
 */
export const endAuthorities = ['lease', 'producer', 'external_owner', 'workflow_key', 'reconciled_abandon'] as const
export type EndAuthority = (typeof endAuthorities)[number]
