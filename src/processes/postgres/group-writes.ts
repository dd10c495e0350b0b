import type { Decided } from '../command.js'
import { compareText, type HandleGrant } from '../grant.js'
import type { StoredLease } from '../lease.js'
import type { StoredProcess } from '../record.js'
import type { ProcessId } from '../scalars.js'
import {
  entryRow,
  grantValues,
  leaseRow,
  registrationRow,
  stateRow,
  type EntryRow,
  type LeaseRow,
  type RegistrationRow,
} from './rows.js'

/** A process and how much of it must be written. */
interface Change {
  process: StoredProcess
  isNew: boolean
  /** A stored outcome is not sent again, because it may be long. */
  hasOutcome: boolean
}

/**
 * The writes of a group of commands: every entry, and the last version of everything that is replaced. Rows are sorted
 * by id, so that no two groups wait for each other.
 */
export class GroupWrites {
  readonly entries: (EntryRow & { readonly process_id: ProcessId })[] = []
  readonly acks: { readonly processId: ProcessId; readonly sequence: number }[] = []
  readonly #changes = new Map<ProcessId, Change>()
  readonly #leases = new Map<ProcessId, StoredLease>()
  readonly #grants = new Map<string, { readonly scopeId: string; readonly processId: ProcessId; grant?: HandleGrant }>()

  /** Adds the writes of a decision. */
  add(processId: ProcessId, { writes, process }: Decided<unknown>): void {
    if (writes === undefined) return
    const { register, entries = [], lease, ack, grant, revoke } = writes
    if (process !== undefined) {
      const before = this.#changes.get(processId)
      const isRepair = register === undefined && entries.length === 0
      const hasEnded = entries.some(({ semantics }) => semantics?.terminal !== undefined)
      this.#changes.set(processId, {
        process,
        isNew: register !== undefined || before?.isNew === true,
        hasOutcome: hasEnded || isRepair || before?.hasOutcome === true,
      })
    }
    for (const entry of entries) this.entries.push({ process_id: processId, ...entryRow(entry) })
    if (lease !== undefined) this.#leases.set(processId, lease)
    if (ack !== undefined) this.acks.push({ processId, sequence: ack })
    if (revoke !== undefined) this.#grants.set(`${processId} ${revoke}`, { scopeId: revoke, processId })
    if (grant !== undefined) {
      this.#grants.set(`${processId} ${grant.scopeId}`, { scopeId: grant.scopeId, processId, grant })
    }
  }

  /** New processes and their rows. */
  registered(): readonly { readonly process: StoredProcess; readonly row: RegistrationRow }[] {
    return this.#changed(true).map(([processId, { process }]) => {
      const row = {
        process_id: processId,
        ...headRow(process),
        wake_session_id: process.wakeTarget?.sessionId,
        wake_frame_id: process.wakeTarget?.agentFrameId,
        ...stateRow(process.state, { hasOutcome: true }),
        ...registrationRow(process.registered),
      }
      return { process, row }
    })
  }

  /** Existing processes whose state changed. */
  changed(): readonly object[] {
    return this.#changed(false).map(([processId, { process, hasOutcome }]) => ({
      process_id: processId,
      ...headRow(process),
      ...stateRow(process.state, { hasOutcome }),
    }))
  }

  leases(): readonly (LeaseRow & { readonly process_id: ProcessId })[] {
    return inOrder(this.#leases).map(([processId, lease]) => ({ process_id: processId, ...leaseRow(lease) }))
  }

  /** Values of the grants that remain at the end. */
  granted(): readonly (readonly [string, ProcessId, string, string])[] {
    return [...this.#grants.values()].flatMap(({ grant }) => (grant === undefined ? [] : [grantValues(grant)]))
  }

  /** Grants that are removed. */
  revoked(): readonly { readonly scopeId: string; readonly processId: ProcessId }[] {
    return [...this.#grants.values()].filter(({ grant }) => grant === undefined)
  }

  /** Processes to notify other hosts of. */
  get told(): readonly ProcessId[] {
    return [...this.#changes.keys()]
  }

  #changed(isNew: boolean): readonly (readonly [ProcessId, Change])[] {
    return inOrder(this.#changes).filter(([, change]) => change.isNew === isNew)
  }
}

function headRow({ registrationHash, createdAtMs }: StoredProcess): object {
  return { registration_hash: registrationHash, created_at_ms: createdAtMs }
}

function inOrder<Value>(rows: ReadonlyMap<ProcessId, Value>): readonly (readonly [ProcessId, Value])[] {
  return [...rows].sort(([one], [other]) => compareText(one, other))
}
