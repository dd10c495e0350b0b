import { StoreError, type SqlStatement, type SqlValue, type Transaction } from '../../postgres/index.js'
import type { Decided, ProcessCommand } from '../command.js'
import { compareText } from '../grant.js'
import type { StoredProcess } from '../record.js'
import type { ProcessId } from '../scalars.js'
import { GroupRows } from './group-rows.js'
import { GroupWrites } from './group-writes.js'
import type { ProcessReader } from './process-reader.js'
import type { Statements } from './statements.js'

/** What groups of commands have in common. */
export interface CommandGroupOptions {
  readonly statements: Statements
  readonly reader: ProcessReader
  readonly newToken: () => string
  /** Where changes are told, if anywhere. */
  readonly channel: string | undefined
}

/** How a group is run. */
export interface GroupMode {
  /** Leaves out processes that another transaction is changing, instead of waiting for it. */
  readonly skipsLocked?: boolean
  /** Does all or nothing: the first refusal is that of the group. */
  readonly isAtomic?: boolean
}

/** What became of a command. */
export type Answer<Result = unknown> =
  | { readonly type: 'decided'; readonly decided: Decided<Result> }
  | { readonly type: 'refused'; readonly refusal: unknown }
  /** Somebody else was changing its process. */
  | { readonly type: 'left' }

/**
 * Commands that are run in one transaction, each decided on its own: it sees what those before it in the group did, and one
 * that is refused is no matter to the others.
 *
 * However often its transaction is tried, it knows itself again in what it wrote: when a commit went unanswered, the next
 * attempt finds out whether it was made, and nothing is done twice.
 */
export class CommandGroup<Result> {
  readonly #commands: readonly ProcessCommand<Result>[]
  readonly #options: CommandGroupOptions
  readonly #mode: GroupMode
  /** Goes into every entry that this group writes. */
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
    // Asked under the locks: what an earlier attempt was committing then is committed by now, or never.
    if (transaction.mayHaveLanded && this.#last !== undefined && (await this.#hasLanded(transaction))) {
      return this.#last.answers
    }
    const writes = new GroupWrites()
    const answers = this.#commands.map((command, index) => this.#decide(command, index, rows, writes))
    this.#last = { answers, writes }
    await this.#write(transaction, statements, writes)
    return answers
  }

  /** Locks the processes of the group and reads what is decided by. */
  async #load(transaction: Transaction): Promise<GroupRows> {
    const { statements, reader, newToken } = this.#options
    // In one order whatever the order of the commands is, so that no two groups wait for each other.
    const ids = [...new Set(this.#commands.map(({ processId }) => processId))].sort(compareText)
    const asked = this.#commands.map(({ processId, key, scopeId }, place) => ({ place, processId, key, scopeId }))
    // One that may have been committing still has to be waited for.
    const skipsLocked = this.#mode.skipsLocked === true && !transaction.mayHaveLanded
    // Sent together: the server does the second when it has the locks of the first.
    const [locked, beside] = await Promise.all([
      transaction.query(skipsLocked ? statements.lockFree : statements.lock, [ids]),
      transaction.query(statements.readBeside, [JSON.stringify(asked)]),
    ])
    // Held from here on: what is remembered may be forgotten while the others are read.
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
      // The next attempt finds what was registered, and decides by it.
      const cause = 'somebody else has registered a process of the same id'
      throw new StoreError('store.conflict', { attempts: 1, cause, sqlState: '23505' })
    }
    for (const { process, row } of registered) {
      reader.remember(process.registered, process.registrationHash, row.registered.length)
    }
  }

  /** Whether what was decided stands: all of it does when one part of it that nobody else can have written does. */
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
    // Everything else comes to the same when it is done again.
    return false
  }
}
