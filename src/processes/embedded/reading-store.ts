import * as v from 'valibot'
import { unknownProcess } from '../command.js'
import { invalidCursor } from '../errors.js'
import { eventOf, wakeDeliveryOf, type LogEntry, type ProcessEvent } from '../event.js'
import type { GrantEntry, HandleGrant } from '../grant.js'
import { leaseOf, type LivenessCheck, type ProcessLease } from '../lease.js'
import { stepOf } from '../lifecycle.js'
import { isWholeMode, matches, modeOf, takeFilter, type ProcessListFilter } from '../list-filter.js'
import type { ChangeCursor, ChangePage, ProcessChange } from '../pruning.js'
import { recordOf, workableFromMs, type ProcessRecord, type StoredProcess } from '../record.js'
import { takeBound, takeId, takeName, takeSequence, type ProcessId } from '../scalars.js'
import { scopeIdOf, type SessionScope } from '../scope.js'
import type { PendingWake, StepResult, TerminalState, WakePosition, WorkCursor, WorkPage } from '../store.js'
import { takeScope, TransactingStore } from '../transacting-store.js'
import type { ProcessLog } from './log.js'
import { ProcessTables, type ProcessRow } from './tables.js'

/** The reads of the embedded store. They see committed data only, and cost only what they return. */
export abstract class ReadingStore extends TransactingStore {
  protected readonly tables = new ProcessTables()
  /** Epoch milliseconds by the store's clock. */
  protected readonly nowMs: () => number

  constructor({ isHolderDead, nowMs }: { readonly isHolderDead: LivenessCheck; readonly nowMs: () => number }) {
    super(isHolderDead)
    this.nowMs = nowMs
  }

  override async listHandleGrants(scope: SessionScope): Promise<readonly GrantEntry[]> {
    return this.#grantsOf(scope, () => true)
  }

  override async listLiveHandleGrants(scope: SessionScope): Promise<readonly GrantEntry[]> {
    return this.#grantsOf(scope, ({ state }) => state.status === 'running')
  }

  override async hasHandleGrant(scope: SessionScope, processId: ProcessId): Promise<boolean> {
    const scopeId = scopeIdOf(takeScope(scope))
    return this.tables.grants.get(takeId(processId))?.some((grant) => grant.scopeId === scopeId) ?? false
  }

  override async handleGrantsForProcess(processId: ProcessId): Promise<readonly HandleGrant[]> {
    this.#known(processId)
    return this.tables.grants.get(processId) ?? []
  }

  override async eventsAfter(processId: ProcessId, cursor: number): Promise<readonly ProcessEvent[]> {
    const after = takeSequence(cursor, 'cursor')
    this.#known(processId)
    return (
      this.#logOf(processId)
        ?.after(after)
        .map((entry) => eventOf(processId, entry)) ?? []
    )
  }

  override async firstEventAfter(
    processId: ProcessId,
    eventType: string,
    cursor: number,
  ): Promise<ProcessEvent | undefined> {
    const [type, after] = [takeName(eventType, 'event type'), takeSequence(cursor, 'cursor')]
    this.#known(processId)
    const log = this.#logOf(processId)
    for (const sequence of log?.ofTypeAfter(type, after) ?? []) {
      return eventOf(processId, log?.at(sequence) as LogEntry)
    }
    return undefined
  }

  override async countEventsThrough(processId: ProcessId, eventType: string, upTo: number): Promise<number> {
    const [type, bound] = [takeName(eventType, 'event type'), takeBound(upTo, 'bound')]
    this.#known(processId)
    return this.#logOf(processId)?.countThrough(type, bound) ?? 0
  }

  override async recentEvents(processId: ProcessId, limit: number): Promise<readonly ProcessEvent[]> {
    const most = takeBound(limit, 'limit')
    this.#known(processId)
    const log = this.#logOf(processId)
    if (log === undefined) return []
    return log.after(Math.max(0, log.committed - most)).map((entry) => eventOf(processId, entry))
  }

  override async wakeEventsAfter(processId: ProcessId, cursor: number): Promise<readonly ProcessEvent[]> {
    const after = takeSequence(cursor, 'cursor')
    this.#known(processId)
    const log = this.#logOf(processId)
    const entries = log
      ?.after(after)
      .filter(({ semantics, sequence }) => semantics?.wake !== undefined && !log.isAcked(sequence))
    return entries?.map((entry) => eventOf(processId, entry)) ?? []
  }

  override async pendingWakes(limit: number, after?: WakePosition): Promise<readonly PendingWake[]> {
    const most = takeBound(limit, 'limit')
    const position = after === undefined ? { processId: '', sequence: 0 } : takePosition(after)
    const wakes: PendingWake[] = []
    for (const { processId, sequence } of this.tables.indexes.pendingWakes.after(position)) {
      if (wakes.length >= most) break
      const { stored } = this.tables.processes.get(processId) as ProcessRow
      const event = eventOf(processId, this.#logOf(processId)?.at(sequence) as LogEntry)
      const { causedBy } = stored.registered.provenance
      const { wakeTarget } = stored
      const source = { ...(wakeTarget !== undefined && { wakeTarget }), ...(causedBy !== undefined && { causedBy }) }
      const delivery = wakeDeliveryOf(event, source)
      if (delivery !== undefined) wakes.push({ event, delivery })
    }
    return wakes
  }

  override async recordedSteps(processId: ProcessId): Promise<readonly StepResult[]> {
    this.#known(processId)
    const log = this.#logOf(processId)
    return Array.from(log?.ofTypeAfter('process.step', 0) ?? [], (sequence) => stepOf(log?.at(sequence) as LogEntry))
  }

  override async getProcess(processId: ProcessId): Promise<ProcessRecord | undefined> {
    const row = this.tables.processes.get(takeId(processId))
    return row?.record
  }

  override async getTerminal(processId: ProcessId): Promise<TerminalState> {
    const row = this.tables.processes.get(takeId(processId))
    if (row === undefined) {
      const tombstone = this.tables.tombstones.get(processId)?.tombstone
      if (tombstone === undefined) return { state: 'unknown' }
      return { state: 'pruned', terminalLabel: tombstone.terminalLabel, prunedAtMs: tombstone.prunedAtMs }
    }
    const { status, outcome } = row.stored.state
    if (status === 'running' || outcome === undefined) return { state: 'running' }
    return { state: 'ended', status, output: outcome }
  }

  override async listProcesses(filter: ProcessListFilter = {}): Promise<readonly ProcessRecord[]> {
    const taken = takeFilter(filter)
    const { live, all } = this.tables.indexes
    const rows = modeOf(taken) === 'live' ? live : all
    const isWhole = isWholeMode(taken)
    const records: ProcessRecord[] = []
    for (const row of rows) if (isWhole || matches(taken, row.stored)) records.push(row.record)
    return records
  }

  override async listNonTerminal(): Promise<readonly ProcessRecord[]> {
    return this.listProcesses({ status: 'running' })
  }

  override async listWork(limit: number, cursor?: WorkCursor, except?: ReadonlySet<ProcessId>): Promise<WorkPage> {
    const most = Math.max(1, takeBound(limit, 'limit'))
    const { indexes, processes } = this.tables
    const nowMs = this.nowMs()
    indexes.promote(nowMs)
    const { through, after } =
      cursor === undefined ? { through: indexes.live.last?.id ?? '', after: '' } : readWork(cursor)
    const records: ProcessRecord[] = []
    for (const id of indexes.workable.after(after)) {
      if (id > through) break
      if (except?.has(id) === true) continue
      const { stored } = processes.get(id) as ProcessRow
      // The clock may have been set back after the timer became due.
      if ((workableFromMs(stored.state) ?? Infinity) > nowMs) continue
      if (records.length === most) return { records, next: writeWork(through, records.at(-1)?.id ?? after) }
      records.push(recordOf(stored))
    }
    return { records }
  }

  override async nextWorkAtMs(): Promise<number | undefined> {
    this.tables.indexes.promote(this.nowMs())
    return this.tables.indexes.timers.first?.at
  }

  override async processesChangedSince(cursor: ChangeCursor, limit: number): Promise<ChangePage> {
    const most = Math.max(1, takeBound(limit, 'limit'))
    const since = changeIn(this.tables, cursor)
    const changes: ProcessChange[] = []
    let last = since
    for (const { at, id } of this.tables.indexes.changes.after({ at: since, id: lastId })) {
      if (changes.length === most) break
      changes.push(this.#change(id))
      last = at
    }
    return [changes, writeChange(last)]
  }

  override async getLease(processId: ProcessId): Promise<ProcessLease | undefined> {
    return leaseOf(takeId(processId), this.tables.leases.get(processId))
  }

  #grantsOf(scope: SessionScope, isAsked: (stored: StoredProcess) => boolean): readonly GrantEntry[] {
    const scopeId = scopeIdOf(takeScope(scope))
    const { indexes, grants, processes } = this.tables
    const entries: GrantEntry[] = []
    for (const id of [...indexes.byScope.get(scopeId)].toSorted()) {
      const { stored } = processes.get(id) as ProcessRow
      const grant = grants.get(id)?.find((one) => one.scopeId === scopeId) as HandleGrant
      if (isAsked(stored)) entries.push([grant, recordOf(stored)])
    }
    return entries
  }

  #change(id: ProcessId): ProcessChange {
    const row = this.tables.processes.get(id)
    if (row !== undefined) return { type: 'record', record: recordOf(row.stored) }
    const tombstone = this.tables.tombstones.get(id)
    if (tombstone === undefined) throw new TypeError(`the index names ${id}, which is not there`)
    return { type: 'pruned', tombstone: tombstone.tombstone }
  }

  #known(processId: ProcessId): StoredProcess {
    const row = this.tables.processes.get(takeId(processId))
    if (row !== undefined) return row.stored
    throw unknownProcess(processId, this.tables.tombstones.get(processId)?.tombstone)
  }

  #logOf(processId: ProcessId): ProcessLog | undefined {
    return this.tables.logs.get(processId)
  }
}

/** Sorts after every id. */
const lastId = '\x7f'

function writeChange(change: number): ChangeCursor {
  return `embedded:${change}`
}

function writeWork(through: ProcessId, after: ProcessId): WorkCursor {
  return `embedded:${JSON.stringify([through, after])}`
}

function readWork(cursor: unknown): { readonly through: ProcessId; readonly after: ProcessId } {
  try {
    const text = typeof cursor === 'string' && cursor.startsWith('embedded:') ? cursor.slice('embedded:'.length) : ''
    const [through, after] = v.parse(v.strictTuple([v.string(), v.string()]), JSON.parse(text))
    return { through, after }
  } catch (cause) {
    throw invalidCursor(cursor, cause)
  }
}

function takePosition(after: unknown): WakePosition {
  const { processId, sequence } = (after ?? {}) as Partial<WakePosition>
  return { processId: takeId(processId), sequence: takeSequence(sequence, 'sequence of a wake') }
}

/** The change number of a cursor. Raises `process.cursor_invalid`. */
export function changeIn({ changes }: Pick<ProcessTables, 'changes'>, cursor: unknown): number {
  if (cursor === '') return 0
  const digits = typeof cursor === 'string' ? /^embedded:(\d{1,16})$/.exec(cursor)?.[1] : undefined
  const change = digits === undefined ? NaN : Number(digits)
  if (change <= changes.committed) return change
  throw invalidCursor(cursor)
}
