import type { ProcessRecord } from '../../processes/index.js'
import type { ItemRef, ProcessesView, ProcessRow } from '../stream/protocol.js'
import { processRow, processWaitText } from './item-rows.js'
import type { Window } from './pages.js'
import type { InspectedState } from './state.js'

/** Processes, running ones first, with their leases and waiters. O(processes). */
export async function processesView(
  state: InspectedState,
  { offset = 0, limit = 100 }: Window,
): Promise<ProcessesView> {
  const records = await state.processes.listProcesses({ status: 'any' })
  const isRunning = ({ status }: ProcessRecord): boolean => status === 'running'
  const ordered = [...records.filter(isRunning), ...records.filter((record) => !isRunning(record)).toReversed()]
  const waiters = waitersOf(records)
  const rows: ProcessRow[] = []
  for (const record of ordered.slice(offset, offset + limit)) {
    const lease = await state.processes.getLease(record.id)
    rows.push({
      row: processRow(record, state.shown),
      ...(lease !== undefined && {
        lease: { owner: lease.owner.ownerId, token: lease.fencingToken, expiresAtMs: lease.expiresAtMs },
      }),
      ...(record.wait !== undefined && { waitsFor: processWaitText(record.wait.kind) }),
      waiters: waiters.get(record.id) ?? [],
    })
  }
  return { view: 'processes', total: records.length, offset, rows }
}

function waitersOf(records: readonly ProcessRecord[]): ReadonlyMap<string, readonly ItemRef[]> {
  const waiters = new Map<string, ItemRef[]>()
  for (const { id, wait } of records) {
    if (wait?.kind.type !== 'process') continue
    const known = waiters.get(wait.kind.processId) ?? []
    known.push({ type: 'process', id })
    waiters.set(wait.kind.processId, known)
  }
  return waiters
}
