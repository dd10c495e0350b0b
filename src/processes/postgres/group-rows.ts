import type { SqlRow } from '../../postgres/index.js'
import type { Decided, DecisionContext, ProcessCommand, ProcessRows } from '../command.js'
import type { LogEntry } from '../event.js'
import type { HandleGrant } from '../grant.js'
import type { StoredProcess } from '../record.js'
import type { ProcessId } from '../scalars.js'
import { entryOf, grantOf, leaseRowOf, tombstoneRowOf } from './rows.js'

/** The rows read for a group of commands. */
export interface ReadRows {
  /** Readers of the locked processes. They raise `process.stored_invalid`. */
  readonly processes: ReadonlyMap<ProcessId, () => StoredProcess>
  /** The other rows that a command is decided on, by its index in the group. */
  readonly besides: ReadonlyMap<number, SqlRow>
  readonly newToken: () => string
}

/** The rows of a process as the next command of the group finds them. */
interface Seen extends Pick<ProcessRows, 'process' | 'tombstone' | 'lease'> {
  /** Entries and grants written by commands of the group. */
  readonly keyed: Map<string, LogEntry>
  readonly grants: Map<string, HandleGrant | undefined>
}

/**
 * The rows that the commands of a group are decided on: what is stored, changed by the earlier commands of the group.
 */
export class GroupRows {
  readonly #read: ReadRows
  readonly #seen = new Map<ProcessId, Seen>()

  constructor(read: ReadRows) {
    this.#read = read
  }

  /**
   * The rows of the command at an index of the group. `undefined` if its process exists but is not locked. Raises
   * `process.stored_invalid`.
   */
  of(
    { processId, key, scopeId }: ProcessCommand<unknown>,
    place: number,
  ): { readonly rows: ProcessRows; readonly context: DecisionContext } | undefined {
    const { besides, processes, newToken } = this.#read
    const beside = besides.get(place) as SqlRow
    if (beside['is_there'] === true && !processes.has(processId)) return undefined
    const { process, tombstone, lease, keyed, grants } = this.#seenOf(processId, beside)
    const keyedNow = key === undefined ? undefined : keyed.get(key)
    const grantNow = scopeId !== undefined && grants.has(scopeId) ? grants.get(scopeId) : grantIn(beside, processId)
    return {
      rows: {
        process,
        tombstone,
        lease,
        keyed: keyedNow ?? (beside['sequence'] === null ? undefined : entryOf(beside)),
        grant: grantNow,
      },
      context: { nowMs: beside['now_ms'] as number, newToken },
    }
  }

  /** Applies a decision, so that the next command of the process sees it. */
  follow(processId: ProcessId, { writes, process }: Decided<unknown>): void {
    const seen = this.#seen.get(processId)
    if (seen === undefined || writes === undefined) return
    const { register, entries = [], lease = seen.lease, grant, revoke } = writes
    for (const entry of entries) if (entry.replayKey !== undefined) seen.keyed.set(entry.replayKey, entry)
    if (revoke !== undefined) seen.grants.set(revoke, undefined)
    if (grant !== undefined) seen.grants.set(grant.scopeId, grant)
    const tombstone = register === undefined ? seen.tombstone : undefined
    this.#seen.set(processId, { ...seen, process: process ?? seen.process, tombstone, lease })
  }

  #seenOf(processId: ProcessId, beside: SqlRow): Seen {
    const known = this.#seen.get(processId)
    if (known !== undefined) return known
    const buried = beside['terminal_label'] === null ? undefined : { ...beside, process_id: processId }
    const seen: Seen = {
      process: this.#read.processes.get(processId)?.(),
      tombstone: buried && tombstoneRowOf(buried),
      lease: leaseRowOf(beside),
      keyed: new Map(),
      grants: new Map(),
    }
    this.#seen.set(processId, seen)
    return seen
  }
}

function grantIn(beside: SqlRow, processId: ProcessId): HandleGrant | undefined {
  return beside['scope_id'] === null ? undefined : grantOf({ ...beside, process_id: processId })
}
