import { StoreError, type SqlStatement, type SqlValue, type Transaction } from '../../postgres/index.js'
import type { Decided, ProcessCommand } from '../command.js'
import { compareText } from '../grant.js'
import type { StoredProcess } from '../record.js'
import type { ProcessId } from '../scalars.js'
import { GroupRows } from './group-rows.js'
import { GroupWrites } from './group-writes.js'
import type { ProcessReader } from './process-reader.js'
import type { Statements } from './statements.js'

/** Options shared by all command groups. */
export interface CommandGroupOptions {
  readonly statements: Statements
  readonly reader: ProcessReader
  readonly newToken: () => string
  /** The channel that changes are notified on, if any. */
  readonly channel: string | undefined
}

/** How a group is run. */
export interface GroupMode {
  /** Leaves out processes that another transaction is changing, instead of waiting for them. */
  readonly skipsLocked?: boolean
  /** Runs all commands or none: the first refusal refuses the group. */
  readonly isAtomic?: boolean
}

/** The result of one command. */
export type Answer<Result = unknown> =
  | { readonly type: 'decided'; readonly decided: Decided<Result> }
  | { readonly type: 'refused'; readonly refusal: unknown }
  /** Left out because another transaction was changing its process. */
  | { readonly type: 'left' }

/**
 * Commands that run in one transaction. Each is decided separately: it sees the effects of earlier commands in the
 * group, and a refused command does not affect the others.
 *
 * The transaction may be attempted several times. If the outcome of a commit is unknown, the next attempt looks for the
 * group's own writes to find out whether it was committed, so nothing is done twice.
 */
export class CommandGroup<Result> {
  readonly #commands: readonly ProcessCommand<Result>[]
  readonly #options: CommandGroupOptions
  readonly #mode: GroupMode
  /** Written into every entry of this group. */
  readonly #name: string
  #last: { readonly answers: readonly Answer<Result>[]; readonly writes: GroupWrites } | undefined

  constructor(commands: readonly ProcessCommand<Result>[], options: CommandGroupOptions, mode: GroupMode = {}) {
    this.#commands = commands
    this.#options = options
    this.#mode = mode
    this.#name = options.newToken()
  }

  /** The body of the transaction. */
  async attempt(transaction: Transaction): Promise<readonly Answer<Result>[]> {
    const { statements } = this.#options
    const rows = await this.#load(transaction)
    // Checked while holding the locks: by now, a commit of an earlier attempt has either happened or never will.
    if (transaction.mayHaveLanded && this.#last !== undefined && (await this.#hasLanded(transaction))) {
      return this.#last.answers
    }
    const writes = new GroupWrites()
    const answers = this.#commands.map((command, index) => this.#decide(command, index, rows, writes))
    this.#last = { answers, writes }
    await this.#write(transaction, statements, writes)
    return answers
  }

  /** Locks the processes of the group and reads the rows that its commands are decided on. */
  async #load(transaction: Transaction): Promise<GroupRows> {
    const { statements, reader, newToken } = this.#options
    // Sorted, so that no two groups wait for each other.
    const ids = [...new Set(this.#commands.map(({ processId }) => processId))].sort(compareText)
    const asked = this.#commands.map(({ processId, key, scopeId }, place) => ({ place, processId, key, scopeId }))
    // A group whose earlier attempt may have been committing must wait for the locks.
    const skipsLocked = this.#mode.skipsLocked === true && !transaction.mayHaveLanded
    // Sent together: the server runs the second once it holds the locks of the first.
    const [locked, beside] = await Promise.all([
      transaction.query(skipsLocked ? statements.lockFree : statements.lock, [ids]),
      transaction.query(statements.readBeside, [JSON.stringify(asked)]),
    ])
    // Kept from here on, because the cache may evict them while the others are read.
    const known = new Map(locked.rows.map((row) => [row['process_id'] as ProcessId, reader.known(row)]))
    const missing = Array.from(known.keys()).filter((id) => known.get(id) === undefined)
    const found = missing.length === 0 ? [] : (await transaction.query(statements.readRegistrations, [missing])).rows
    const registrations = new Map(found.map((row) => [row['process_id'] as ProcessId, row['registered']]))
    const processes = new Map(
      locked.rows.map((row): [ProcessId, () => StoredProcess] => {
        const id = row['process_id'] as ProcessId
        return [id, () => reader.process({ ...row, registered: registrations.get(id) ?? null }, known.get(id))]
      }),
    )
    const besides = new Map(beside.rows.map((row) => [row['place'] as number, row]))
    return new GroupRows({ processes, besides, newToken })
  }

  #decide(command: ProcessCommand<Result>, index: number, rows: GroupRows, writes: GroupWrites): Answer<Result> {
    try {
      const found = rows.of(command, index)
      if (found === undefined) return { type: 'left' }
      const decided = command.decide(found.rows, found.context)
      rows.follow(command.processId, decided)
      writes.add(command.processId, decided)
      return { type: 'decided', decided }
    } catch (refusal) {
      if (this.#mode.isAtomic === true) throw refusal
      return { type: 'refused', refusal }
    }
  }

  async #write(transaction: Transaction, statements: Statements, writes: GroupWrites): Promise<void> {
    const { channel, reader } = this.#options
    const send = (statement: SqlStatement, rows: readonly object[], ...rest: readonly SqlValue[]): void => {
      if (rows.length > 0) transaction.send(statement, [JSON.stringify(rows), ...rest])
    }
    const registered = writes.registered()
    const registering =
      registered.length === 0
        ? undefined
        : transaction.query(statements.register, [JSON.stringify(registered.map(({ row }) => row))])
    send(statements.update, writes.changed())
    send(statements.insertEntries, writes.entries, this.#name)
    send(statements.putLeases, writes.leases())
    for (const { processId, sequence } of writes.acks) transaction.send(statements.putAck, [processId, sequence])
    for (const { scopeId, processId } of writes.revoked()) {
      transaction.send(statements.removeGrant, [scopeId, processId])
    }
    for (const values of writes.granted()) transaction.send(statements.putGrant, values)
    if (channel !== undefined && writes.told.length > 0) transaction.send(statements.notify, [channel, writes.told])
    if (registering === undefined) return
    if ((await registering).rowCount < registered.length) {
      // The next attempt finds the registration and decides on it.
      const cause = 'somebody else has registered a process of the same id'
      throw new StoreError('store.conflict', { attempts: 1, cause, sqlState: '23505' })
    }
    for (const { process, row } of registered) {
      reader.remember(process.registered, process.registrationHash, row.registered.length)
    }
  }

  /** Whether the previous attempt was committed: one write of it that nobody else can have made proves it. */
  async #hasLanded(transaction: Transaction): Promise<boolean> {
    const { statements } = this.#options
    const isFound = async (statement: SqlStatement, values: readonly SqlValue[]): Promise<boolean> =>
      (await transaction.query(statement, values)).rows.length > 0
    const { writes } = this.#last ?? {}
    const [entry] = writes?.entries ?? []
    if (entry !== undefined) {
      return isFound(statements.findEntryOfCall, [entry.process_id, entry.sequence, this.#name])
    }
    const held = writes?.leases().find(({ lease_token: token }) => token !== null)
    if (held !== undefined) {
      return isFound(statements.findToken, [held.process_id, held.lease_token, held.expires_at_ms])
    }
    const [[granted], [revoked]] = [writes?.granted() ?? [], writes?.revoked() ?? []]
    if (granted !== undefined && revoked !== undefined) {
      const [scopeId, processId] = granted
      return (
        (await isFound(statements.findGrant, [scopeId, processId])) &&
        !(await isFound(statements.findGrant, [revoked.scopeId, revoked.processId]))
      )
    }
    // Everything else gives the same result when done again.
    return false
  }
}
