import { messageOf } from '../base/errors.js'
import type { AdmissionOptions } from './admission.js'
import { dispositionOf, type Deferral, type Disposition, type DrainReport } from './drive-report.js'
import type { ProcessId } from './scalars.js'

/**
 * Abandons the owner-bound processes that the owner has started, for a host that will not come back. Those started by
 * others, those not yet started and rerunnable ones stay.
 */
export async function drainOwnerBound(options: AdmissionOptions): Promise<DrainReport> {
  const { store, owner } = options
  const abandoned: ProcessId[] = []
  const deferred: Deferral[] = []
  for (const record of await store.listNonTerminal()) {
    if (record.disposition !== 'owner_bound' || record.firstStarted?.owner.ownerId !== owner.ownerId) continue
    const disposition = await drain(record.id, options)
    if (disposition === undefined) abandoned.push(record.id)
    else deferred.push({ processId: record.id, disposition })
  }
  return { abandoned, deferred }
}

/** Abandons one of them. Resolves with why it was not abandoned. */
async function drain(
  processId: ProcessId,
  { store, owner, clock, ids, runner, ttlMs, report }: AdmissionOptions,
): Promise<Disposition | undefined> {
  const identity = { ...owner, ownerId: `${owner.ownerId}:drain:${ids.uuid()}`, incarnationId: ids.uuid() }
  try {
    const claimed = await store.claimLease(processId, identity, ttlMs)
    if (claimed.outcome === 'busy') return { type: 'busy' }
    const { lease } = claimed
    const release = async (disposition: Disposition): Promise<Disposition> => {
      await store.completeLease({ processId, leaseToken: lease.leaseToken })
      return disposition
    }
    const record = await store.getProcess(processId)
    if (record === undefined) return await release({ type: 'absent' })
    if (record.status !== 'running') return await release({ type: 'settled_by_peer' })
    const evidence = { writer: 'owner_drain', owner, epochMs: Math.trunc(clock.wallNow()) } as const
    // First end what is still running without its owner.
    const isLeft = runner.canRun(record) && runner.canRecover?.(record) === true
    const own = isLeft ? await runner.reap?.(record, store) : undefined
    const { outcome } = await store.completeWithLease(lease, own ?? { type: 'abandoned', evidence })
    if (outcome === 'committed') return own && { type: 'already_applied' }
    return { type: outcome === 'superseded' ? 'settled_by_peer' : 'already_applied' }
  } catch (error) {
    const disposition = dispositionOf(error)
    if (disposition !== undefined) return disposition
    report({ type: 'row_backend_error', processId, operation: 'drain', message: messageOf(error) })
    return { type: 'backend_error', operation: 'drain' }
  }
}
