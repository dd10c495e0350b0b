import { known, type ProcessCommand } from './command.js'
import { ProcessError } from './errors.js'
import type { LeaseOwner, StoredLease } from './lease.js'
import { claimCommand } from './lease-commands.js'
import { startCommand } from './lifecycle.js'
import { recordOf } from './record.js'
import type { ProcessId } from './scalars.js'
import type { ClaimAndStartOutcome, StartRequest } from './store.js'

/**
 * Claims a process and records that an execution starts, in one change: the claim, then the start under the new lease.
 * If the start is refused, the lease stays as it was (P-254).
 */
export function claimAndStartCommand(
  processId: ProcessId,
  claimant: LeaseOwner,
  started: StartRequest,
  ttlMs: number,
): ProcessCommand<ClaimAndStartOutcome> {
  const claiming = claimCommand(processId, { type: 'claim', owner: claimant }, ttlMs)
  return {
    processId,
    decide: (rows, context) => {
      const process = known(processId, rows)
      const { disposition } = process.registered
      if (disposition === 'externally_owned') {
        throw new ProcessError('process.disposition_unfit', { processId, disposition, action: 'a claim to run it' })
      }
      if (process.state.status !== 'running') return { result: { outcome: 'ended', record: recordOf(process) } }
      const { result: claimed, writes: claimWrites } = claiming.decide(rows, context)
      if (claimed.outcome === 'busy') return { result: claimed }
      const { lease } = claimed
      const held = claimWrites?.lease as StoredLease
      const begun = startCommand(processId, started, lease).decide({ ...rows, lease: held }, context)
      return {
        ...begun,
        // If the start ends the process as abandoned instead, its own lease write wins and releases the lease.
        writes: { lease: held, ...begun.writes },
        result: { outcome: 'started', lease, record: begun.result },
      }
    },
  }
}
