import { MultiMap } from '../../base/multi-map.js'
import { OrderedSet } from '../../base/ordered-set.js'
import { SequenceCounter } from '../../state/sequence.js'
import { Table } from '../../state/table.js'
import { doesWake } from '../event.js'
import { compareText, type HandleGrant } from '../grant.js'
import type { StoredLease } from '../lease.js'
import type { Tombstone } from '../pruning.js'
import { recordOf, workableFromMs, type ProcessRecord, type StoredProcess } from '../record.js'
import type { ProcessId } from '../scalars.js'
import type { WakePosition } from '../store.js'
import type { ProcessLog } from './log.js'

/**
 * A process and the number of its last change. Every change makes a new row. The public record is made on first use.
 */
export class ProcessRow {
  /** Held here as well: indexes compare it again and again. */
  readonly id: ProcessId
  readonly stored: StoredProcess
  readonly change: number
  #record: ProcessRecord | undefined

  constructor(stored: StoredProcess, change: number) {
    this.id = stored.registered.id
    this.stored = stored
    this.change = change
  }

  /** The public record: one frozen object per row. */
  get record(): ProcessRecord {
    this.#record ??= recordOf(this.stored)
    return this.#record
  }
}

/** The tombstone of a pruned process, and the number of that change. */
export interface TombstoneRow {
  readonly tombstone: Tombstone
  readonly change: number
}

/** All tables of the store. Deleting a process deletes everything that belongs to it. */
export class ProcessTables {
  readonly sequence = new SequenceCounter()
  /** Numbers the changes of processes, for the change feed. */
  readonly changes = new SequenceCounter()
  readonly processes = new Table<ProcessId, ProcessRow>()
  /** Created with the first event of a process. */
  readonly logs = new Table<ProcessId, ProcessLog>()
  readonly leases = new Table<ProcessId, StoredLease>()
  /** By process, ordered by session and scope. */
  readonly grants = new Table<ProcessId, readonly HandleGrant[]>()
  readonly tombstones = new Table<ProcessId, TombstoneRow>()
  readonly indexes = new ProcessIndexes(this)
}

interface At {
  readonly at: number
  readonly id: ProcessId
}

const byPlace = (one: At, other: At): number => one.at - other.at || compareText(one.id, other.id)
const byId = (one: ProcessRow, other: ProcessRow): number => compareText(one.id, other.id)
const byPosition = (one: WakePosition, other: WakePosition): number =>
  compareText(one.processId, other.processId) || one.sequence - other.sequence

/** Lookups by anything other than the id. They follow committed data. */
export class ProcessIndexes {
  readonly all = new OrderedSet<ProcessRow>(byId)
  /** Processes that have not ended. */
  readonly live = new OrderedSet<ProcessRow>(byId)
  /**
   * Processes that have not ended and are not waiting for anything missing, including those whose timers were due at
   * the last look.
   */
  readonly workable = new OrderedSet<ProcessId>(compareText)
  /** Processes that wait for a time, by that time. */
  readonly timers = new OrderedSet<At>(byPlace)
  /** Ended processes, by last update. */
  readonly ended = new OrderedSet<At>(byPlace)
  /** Processes and tombstones, by last change. */
  readonly changes = new OrderedSet<At>(byPlace)
  readonly byWakeSession = new MultiMap<string, ProcessId>()
  readonly byScope = new MultiMap<string, ProcessId>()
  readonly bySession = new MultiMap<string, ProcessId>()
  /** Events whose wakes are not acknowledged. */
  readonly pendingWakes = new OrderedSet<WakePosition>(byPosition)
  readonly #tables: Pick<ProcessTables, 'processes' | 'logs' | 'grants' | 'tombstones'>

  constructor(tables: Pick<ProcessTables, 'processes' | 'logs' | 'grants' | 'tombstones'>) {
    this.#tables = tables
    tables.processes.listen((id, before, after) => this.#onProcess(id, before, after))
    tables.grants.listen((id, before, after) => this.#onGrants(id, before, after))
    tables.tombstones.listen((id, before, after) => this.#onTombstone(id, before, after))
  }

  /** Makes processes with due timers workable. */
  promote(nowMs: number): void {
    for (let due = this.timers.first; due !== undefined && due.at <= nowMs; due = this.timers.first) {
      this.timers.delete(due)
      this.workable.add(due.id)
    }
  }

  /** Whether a process has unacknowledged wakes. */
  hasPendingWakes(processId: ProcessId): boolean {
    for (const wake of this.pendingWakes.after({ processId, sequence: 0 })) return wake.processId === processId
    return false
  }

  /** Removes an acknowledged wake. */
  onAck(processId: ProcessId, sequence: number): void {
    this.pendingWakes.delete({ processId, sequence })
  }

  #onProcess(id: ProcessId, before: ProcessRow | undefined, after: ProcessRow | undefined): void {
    if (before !== undefined) this.changes.delete({ at: before.change, id })
    if (after !== undefined) this.changes.add({ at: after.change, id })
    // The new row replaces the previous one, so that lists read rows in order without looking each one up.
    if (after !== undefined) this.all.add(after)
    else if (before !== undefined) this.all.delete(before)
    if (after?.stored.state.status === 'running') this.live.add(after)
    else if (before?.stored.state.status === 'running') this.live.delete(before)
    this.#followStatus(id, before?.stored, after?.stored)
    this.#followWakes(id, before?.stored, after?.stored)
  }

  #followStatus(id: ProcessId, before: StoredProcess | undefined, after: StoredProcess | undefined): void {
    const [was, is] = [before?.state, after?.state]
    if (was?.status !== 'running' && was !== undefined) this.ended.delete({ at: was.updatedAtMs, id })
    if (is?.status !== 'running' && is !== undefined) this.ended.add({ at: is.updatedAtMs, id })
    const [from, to] = [was && workableFromMs(was), is && workableFromMs(is)]
    if (from === to) return
    if (from !== undefined) {
      this.workable.delete(id)
      if (from > 0) this.timers.delete({ at: from, id })
    }
    if (to === 0) this.workable.add(id)
    else if (to !== undefined) this.timers.add({ at: to, id })
  }

  #followWakes(id: ProcessId, before: StoredProcess | undefined, after: StoredProcess | undefined): void {
    const [from, to] = [before?.wakeTarget?.sessionId, after?.wakeTarget?.sessionId]
    if (from !== to) {
      if (from !== undefined) this.byWakeSession.delete(from, id)
      if (to !== undefined) this.byWakeSession.add(to, id)
    }
    const isRetargeted = before !== undefined && before.wakeTarget !== after?.wakeTarget
    if (isRetargeted) this.#forgetWakes(id)
    const log = this.#tables.logs.get(id)
    if (after === undefined || log === undefined) return
    for (let at = isRetargeted ? 1 : (before?.state.lastSequence ?? 0) + 1; at <= after.state.lastSequence; at++) {
      const entry = log.at(at)
      if (entry === undefined || !doesWake(entry, after.wakeTarget) || log.isAcked(at)) continue
      this.pendingWakes.add({ processId: id, sequence: at })
    }
  }

  #forgetWakes(processId: ProcessId): void {
    const wakes: WakePosition[] = []
    for (const wake of this.pendingWakes.after({ processId, sequence: 0 })) {
      if (wake.processId !== processId) break
      wakes.push(wake)
    }
    for (const wake of wakes) this.pendingWakes.delete(wake)
  }

  #onGrants(id: ProcessId, before: readonly HandleGrant[] = [], after: readonly HandleGrant[] = []): void {
    for (const { scopeId, sessionId } of before) {
      this.byScope.delete(scopeId, id)
      this.bySession.delete(sessionId, id)
    }
    for (const { scopeId, sessionId } of after) {
      this.byScope.add(scopeId, id)
      this.bySession.add(sessionId, id)
    }
  }

  #onTombstone(id: ProcessId, before: TombstoneRow | undefined, after: TombstoneRow | undefined): void {
    if (before !== undefined) this.changes.delete({ at: before.change, id })
    if (after !== undefined) this.changes.add({ at: after.change, id })
  }
}
