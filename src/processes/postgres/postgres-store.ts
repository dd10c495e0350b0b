import { decode } from '../../base/decode.js'
import { createUuidSource } from '../../base/ids.js'
import { guardedLogger } from '../../base/observers.js'
import {
  openSchema,
  PostgresListener,
  StoreError,
  type PostgresDatabase,
  type SqlResult,
  type SqlRow,
  type SqlStatement,
  type SqlValue,
} from '../../postgres/index.js'
import { unknownProcess, type Decided, type ProcessCommand } from '../command.js'
import { ProcessError } from '../errors.js'
import { eventOf, wakeDeliveryOf, type LogEntry, type ProcessEvent } from '../event.js'
import type { GrantEntry, HandleGrant, SessionDeleteReport } from '../grant.js'
import { leaseOf, type ProcessLease } from '../lease.js'
import { stepOf } from '../lifecycle.js'
import { takeFilter, type ProcessListFilter } from '../list-filter.js'
import {
  takePrune,
  takeCompaction,
  type ChangeCursor,
  type ChangePage,
  type ProcessChange,
  type PruneOptions,
  type PruneReport,
  type Tombstone,
} from '../pruning.js'
import { recordOf, type ProcessRecord } from '../record.js'
import { takeBound, takeId, takeName, takeSequence, type ProcessId } from '../scalars.js'
import { scopeIdOf, type SessionScope } from '../scope.js'
import type {
  DurabilityTier,
  PendingWake,
  ProcessAnnouncements,
  StepResult,
  TerminalState,
  WakePosition,
  WorkCursor,
  WorkPage,
} from '../store.js'
import { takeScope, TransactingStore } from '../transacting-store.js'
import { CommandGroup, type Answer, type CommandGroupOptions, type GroupMode } from './command-group.js'
import { CommandQueue } from './command-queue.js'
import { changeCursorOf, changePositionOf, workCursorOf, workPositionOf } from './cursors.js'
import { postgresStoreOptionsSchema, type PostgresStoreOptions } from './options.js'
import { ProcessReader } from './process-reader.js'
import { entryOf, grantOf, leaseRowOf, terminalOf, tombstoneRowOf } from './rows.js'
import { deleteSession } from './session-deletion.js'
import { createStatements, listStatement, pruneStatement, type Statements } from './statements.js'
import { processTables } from './tables.js'

/** The channel for change notifications. It includes the schema, so that several stores can share a database. */
const channelOf = (schema: string): string => `${schema}_processes`

/**
 * Processes on PostgreSQL, for any number of hosts.
 *
 * Every change is made under a lock on the row of its process, in a transaction shared with other changes that arrive
 * at the same time. The server's clock decides which leases are expired. Deadlocks, serialization failures and lost
 * connections are retried. Other failures are a {@link StoreError}: `store.unavailable` with `outcome: 'unknown'` means
 * that the answer to a commit was lost and could not be determined afterwards.
 */
export class PostgresProcessStore extends TransactingStore {
  readonly name = 'postgres'
  readonly writers = 'many'
  /** Set if the store was opened with `notify`. */
  readonly announcements: ProcessAnnouncements | undefined
  readonly #database: PostgresDatabase
  readonly #schema: string
  readonly #storeId: string
  readonly #statements: Statements
  readonly #reader: ProcessReader
  readonly #running: CommandGroupOptions
  readonly #queue: CommandQueue
  readonly #warn: (message: string) => void

  private constructor(options: PostgresStoreOptions, schema: string, storeId: string) {
    super(options.isHolderDead)
    const { ids = createUuidSource({ now: () => Date.now() }), logger, notify = false } = options
    this.#database = options.database
    this.#schema = schema
    this.#storeId = storeId
    this.#statements = createStatements(schema)
    this.#reader = new ProcessReader()
    this.#running = {
      statements: this.#statements,
      reader: this.#reader,
      newToken: () => ids.uuid(),
      channel: notify ? channelOf(schema) : undefined,
    }
    this.announcements = notify ? { listen: (...callbacks) => this.listen(...callbacks) } : undefined
    this.#queue = new CommandQueue({
      run: (commands, mode) => this.#runGroup(commands, mode),
      mostGroups,
      mostCommands,
    })
    this.#warn = (message) => guardedLogger(logger).warn({ store: this.name }, message)
  }

  /**
   * Opens the store: creates its tables by default, and checks them. Raises `invalid_input` for wrong options,
   * `store.schema_mismatch` with all differences, and the errors of the database.
   */
  static async open(options: PostgresStoreOptions): Promise<PostgresProcessStore> {
    decode(postgresStoreOptionsSchema, options, 'options of the PostgreSQL store')
    const { database, schema = 'stateward', createTables = true } = options
    const { storeId } = await openSchema(database, processTables, { schema, create: createTables })
    const store = new PostgresProcessStore(options, schema, storeId)
    await store.#checkOrigin()
    return store
  }

  durabilityTier(): DurabilityTier {
    return 'durable'
  }

  /**
   * Listens for processes changed by hosts that open their stores with `notify`, for those that want to know; the waits
   * of a runtime notice by themselves. Notifications are hints and may be lost: `onConnect` is called whenever changes
   * may have been missed.
   */
  listen(onChange: (processId: ProcessId) => void, onConnect: () => void): PostgresListener {
    return new PostgresListener(this.#database, { channel: channelOf(this.#schema), onMessage: onChange, onConnect })
  }

  protected async run<Result>(command: ProcessCommand<Result>): Promise<Result> {
    return this.#told(await this.#queue.submit(command))
  }

  protected async runAll<Result>(commands: readonly ProcessCommand<Result>[]): Promise<readonly Result[]> {
    const answers = await this.#runGroup(commands, { isAtomic: true })
    return answers.map((answer) => {
      if (answer.type === 'decided') return this.#told(answer.decided)
      throw new TypeError(`a command of all or nothing was ${answer.type}`)
    })
  }

  async #runGroup<Result>(
    commands: readonly ProcessCommand<Result>[],
    mode: GroupMode,
  ): Promise<readonly Answer<Result>[]> {
    const group = new CommandGroup(commands, this.#running, mode)
    return this.#database.transaction((transaction) => group.attempt(transaction))
  }

  /** The result for the caller, once the decision is durable. */
  #told<Result>({ result, refusal, warning }: Decided<Result>): Result {
    if (warning !== undefined) this.#warn(warning)
    if (refusal !== undefined) throw refusal
    return result
  }

  protected override async renewAll(leases: readonly ProcessLease[], ttlMs: number): Promise<readonly ProcessLease[]> {
    const column = <Value>(of: (lease: ProcessLease) => Value): readonly Value[] => leases.map(of)
    const values = [
      column(({ processId }) => processId),
      column(({ leaseToken }) => leaseToken),
      column(({ fencingToken }) => fencingToken),
      column(({ owner }) => owner.ownerId),
      column(({ owner }) => owner.incarnationId),
      ttlMs,
    ]
    const { rows } = await this.#database.write(this.#statements.renewAll, values)
    const renewed = new Map(rows.map((row) => [row['process_id'] as string, row]))
    return leases.flatMap(({ processId }) => {
      const row = renewed.get(processId)
      const lease = row && leaseOf(processId, leaseRowOf(row))
      return lease === undefined ? [] : [lease]
    })
  }

  async eventsAfter(processId: ProcessId, cursor: number): Promise<readonly ProcessEvent[]> {
    const values = [takeSequence(cursor, 'cursor')]
    return this.#events(takeId(processId), this.#statements.eventsAfter, values)
  }

  async firstEventAfter(processId: ProcessId, eventType: string, cursor: number): Promise<ProcessEvent | undefined> {
    const values = [takeName(eventType, 'event type'), takeSequence(cursor, 'cursor')]
    return (await this.#events(takeId(processId), this.#statements.firstEventAfter, values))[0]
  }

  async countEventsThrough(processId: ProcessId, eventType: string, upTo: number): Promise<number> {
    const values = [takeName(eventType, 'event type'), takeBound(upTo, 'sequence')]
    const [row] = await this.#ofProcess(takeId(processId), this.#statements.countEventsThrough, values)
    return row?.['count'] as number
  }

  async recentEvents(processId: ProcessId, limit: number): Promise<readonly ProcessEvent[]> {
    const events = await this.#events(takeId(processId), this.#statements.recentEvents, [takeBound(limit, 'limit')])
    return events.toReversed()
  }

  async wakeEventsAfter(processId: ProcessId, cursor: number): Promise<readonly ProcessEvent[]> {
    const values = [takeSequence(cursor, 'cursor')]
    return this.#events(takeId(processId), this.#statements.wakeEventsAfter, values)
  }

  async pendingWakes(limit: number, after?: WakePosition): Promise<readonly PendingWake[]> {
    const behind: readonly SqlValue[] =
      after === undefined ? ['', 0] : [takeId(after.processId), takeSequence(after.sequence, 'sequence')]
    const { rows } = await this.#database.read(this.#statements.pendingWakes, [...behind, takeBound(limit, 'limit')])
    return rows.map((row) => {
      const { registered, wakeTarget } = this.#reader.process(row)
      const event = eventOf(registered.id, entryOf(row))
      const { causedBy } = registered.provenance
      const delivery = wakeDeliveryOf(event, { ...(wakeTarget && { wakeTarget }), ...(causedBy && { causedBy }) })
      if (delivery !== undefined) return Object.freeze({ event, delivery })
      const reason = 'the event wakes nobody'
      throw new ProcessError('process.stored_invalid', { field: 'process_events.wakes', reason })
    })
  }

  async recordedSteps(processId: ProcessId): Promise<readonly StepResult[]> {
    const rows = await this.#ofProcess(takeId(processId), this.#statements.eventsOfType, ['process.step'])
    return entriesOf(rows).map(stepOf)
  }

  async getProcess(processId: ProcessId): Promise<ProcessRecord | undefined> {
    const id = takeId(processId)
    const [row] = (await this.#database.read(this.#statements.readState, [id])).rows
    if (row === undefined) return undefined
    const known = this.#reader.known(row)
    if (known !== undefined) return recordOf(this.#reader.process(row, known))
    // Read together, because the process may be pruned and registered again in between.
    const [whole] = (await this.#database.read(this.#statements.readProcess, [id])).rows
    return whole && recordOf(this.#reader.process(whole))
  }

  async getTerminal(processId: ProcessId): Promise<TerminalState> {
    const id = takeId(processId)
    const [row] = (await this.#database.read(this.#statements.readTerminal, [id])).rows
    if (row !== undefined) return terminalOf(row)
    const tombstone = await this.#tombstone(id)
    if (tombstone === undefined) return { state: 'unknown' }
    const { terminalLabel, prunedAtMs } = tombstone
    return { state: 'pruned', terminalLabel, prunedAtMs }
  }

  async listProcesses(filter: ProcessListFilter = {}): Promise<readonly ProcessRecord[]> {
    return this.#records(...listStatement(this.#schema, takeFilter(filter)))
  }

  async listNonTerminal(): Promise<readonly ProcessRecord[]> {
    return this.#records(...listStatement(this.#schema, { status: 'running' }))
  }

  async listWork(limit: number, cursor?: WorkCursor, except: ReadonlySet<ProcessId> = new Set()): Promise<WorkPage> {
    const most = takeLimit(limit)
    const from = cursor === undefined ? undefined : workPositionOf(cursor)
    // One more than requested, to know whether there is another page.
    const values = [from?.afterId ?? '', most + 1, from?.boundId ?? null, [...except]]
    const { rows } = await this.#database.read(this.#statements.listWork, values)
    const records = rows.slice(0, most).map((row) => recordOf(this.#reader.process(row)))
    const [last, following] = [records.at(-1), rows[most]]
    if (last === undefined || following === undefined) return { records }
    return { records, next: workCursorOf({ afterId: last.id, boundId: following['bound_id'] as string }) }
  }

  async nextWorkAtMs(): Promise<number | undefined> {
    const [row] = (await this.#database.read(this.#statements.nextWorkAt)).rows
    return (row?.['at_ms'] as number | null) ?? undefined
  }

  async processesChangedSince(cursor: ChangeCursor, limit: number): Promise<ChangePage> {
    const { changeXid, processId } = changePositionOf(this.#storeId, cursor)
    const values = [changeXid, processId, takeLimit(limit)]
    const { rows } = await this.#database.read(this.#statements.changesSince, values)
    const changes = rows.map((row): ProcessChange => {
      if (row['is_record'] === true) return { type: 'record', record: recordOf(this.#reader.process(row)) }
      return { type: 'pruned', tombstone: tombstoneRowOf({ ...row, process_id: row['changed_id'] }) }
    })
    const last = rows.at(-1)
    if (last === undefined) return [changes, cursor]
    const position = { changeXid: last['change_xid'] as string, processId: last['changed_id'] as string }
    return [changes, changeCursorOf(this.#storeId, position)]
  }

  async getLease(processId: ProcessId): Promise<ProcessLease | undefined> {
    const id = takeId(processId)
    const [row] = (await this.#database.read(this.#statements.readLease, [id])).rows
    return row && leaseOf(id, leaseRowOf(row))
  }

  async listHandleGrants(scope: SessionScope): Promise<readonly GrantEntry[]> {
    return this.#grants(takeScope(scope), { isLive: false })
  }

  async listLiveHandleGrants(scope: SessionScope): Promise<readonly GrantEntry[]> {
    return this.#grants(takeScope(scope), { isLive: true })
  }

  async hasHandleGrant(scope: SessionScope, processId: ProcessId): Promise<boolean> {
    const values = [scopeIdOf(takeScope(scope)), takeId(processId)]
    return (await this.#database.read(this.#statements.findGrant, values)).rows.length > 0
  }

  async handleGrantsForProcess(processId: ProcessId): Promise<readonly HandleGrant[]> {
    const rows = await this.#ofProcess(takeId(processId), this.#statements.grantsOfProcess, [])
    return rows.filter((row) => row['scope_id'] !== null).map(grantOf)
  }

  async deleteSessionProcessState(sessionId: string): Promise<SessionDeleteReport> {
    const id = takeId(sessionId, 'session id')
    return this.#database.transaction((transaction) => deleteSession(transaction, this.#statements, id))
  }

  async pruneTerminal(cutoffMs: number, options: PruneOptions): Promise<PruneReport> {
    const { watermark, ...taken } = takePrune(cutoffMs, options)
    const position = watermark.type === 'no_projector' ? undefined : changePositionOf(this.#storeId, watermark.cursor)
    const [statement, values] = pruneStatement(this.#schema, { ...taken, watermark: position })
    const { haveWakes, countEvents, bury, removeProcesses } = this.#statements
    return this.#database.transaction(async (transaction) => {
      const found = idsOf(await transaction.query(statement, values))
      // Checked after the rows are locked, so that no new wake can be added.
      const waking = new Set(idsOf(await transaction.query(haveWakes, [found])))
      const pruned = found.filter((id) => !waking.has(id))
      const [counted] = (await transaction.query(countEvents, [pruned])).rows
      await transaction.query(bury, [pruned])
      await transaction.query(removeProcesses, [pruned])
      return { prunedProcesses: pruned.length, prunedEvents: counted?.['count'] as number }
    })
  }

  async compactTombstones(cutoffMs: number, options: Omit<PruneOptions, 'filter'>): Promise<number> {
    const before = takeBound(cutoffMs, 'tombstone cutoff')
    const { ids, watermark } = takeCompaction(options)
    const position = watermark.type === 'no_projector' ? undefined : changePositionOf(this.#storeId, watermark.cursor)
    const values = [
      before === Number.MAX_SAFE_INTEGER ? null : before,
      position?.changeXid ?? null,
      position?.processId ?? null,
      ids ?? null,
    ]
    return (await this.#database.write(this.#statements.compactTombstones, values)).rowCount
  }

  /**
   * The change feed is ordered by one server's transaction ids. Raises `store.schema_mismatch` for tables copied from
   * another server.
   */
  async #checkOrigin(): Promise<void> {
    const [found] = (await this.#database.read(this.#statements.foreignChanges)).rows
    if (found === undefined) return
    const differences = [
      `changes are numbered beyond ${found['next_xid'] as string}: the tables were copied from another server`,
    ]
    throw new StoreError('store.schema_mismatch', { schema: this.#schema, part: processTables.part, differences })
  }

  async #records(statement: SqlStatement, values: readonly SqlValue[]): Promise<readonly ProcessRecord[]> {
    const { rows } = await this.#database.read(statement, values)
    return rows.map((row) => recordOf(this.#reader.process(row)))
  }

  async #grants(scope: SessionScope, { isLive }: { readonly isLive: boolean }): Promise<readonly GrantEntry[]> {
    const { rows } = await this.#database.read(this.#statements.listGrants, [scopeIdOf(scope), isLive])
    return rows.map((row): GrantEntry => [grantOf(row), recordOf(this.#reader.process(row))])
  }

  async #events(
    processId: ProcessId,
    statement: SqlStatement,
    values: readonly SqlValue[],
  ): Promise<readonly ProcessEvent[]> {
    const rows = await this.#ofProcess(processId, statement, values)
    return entriesOf(rows).map((entry) => eventOf(processId, entry))
  }

  /** The rows of a statement that returns at least one row if the process exists. Raises `process.unknown`. */
  async #ofProcess(
    processId: ProcessId,
    statement: SqlStatement,
    values: readonly SqlValue[],
  ): Promise<readonly SqlRow[]> {
    const { rows } = await this.#database.read(statement, [processId, ...values])
    if (rows.length > 0) return rows
    throw unknownProcess(processId, await this.#tombstone(processId))
  }

  async #tombstone(processId: ProcessId): Promise<Tombstone | undefined> {
    const [row] = (await this.#database.read(this.#statements.readTombstone, [processId])).rows
    return row && tombstoneRowOf(row)
  }
}

/** A page has at least one row, so that paging always advances. */
function takeLimit(limit: unknown): number {
  return Math.min(Math.max(1, takeBound(limit, 'limit')), mostRows)
}

/** Transactions in progress at a time: some are prepared while the server executes others. */
const mostGroups = 4
/** The most commands in one transaction. */
const mostCommands = 128

/** More rows than fit in memory, and no overflow when one is added. */
const mostRows = 2 ** 31

/** The entries of an answer. A process without any has a single row whose sequence is null. */
function entriesOf(rows: readonly SqlRow[]): readonly LogEntry[] {
  return rows.filter((row) => row['sequence'] !== null).map(entryOf)
}

function idsOf({ rows }: SqlResult): string[] {
  return rows.map((row) => row['process_id'] as string)
}
