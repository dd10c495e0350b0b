import type { SqlRow, SqlStatement, SqlValue, Transaction } from '../../postgres/index.js'
import type { Decided, DecisionContext, ProcessCommand, ProcessRows, ProcessWrites } from '../command.js'
import type { StoredProcess } from '../record.js'
import { compareText } from '../grant.js'
import type { ProcessId } from '../scalars.js'
import type { ProcessReader } from './process-reader.js'
import {
  entryOf,
  entryValues,
  grantOf,
  grantValues,
  leaseRowOf,
  leaseValues,
  registrationValues,
  stateValues,
  tombstoneRowOf,
} from './rows.js'
import type { Statements } from './statements.js'

/** What runs of commands have in common. */
export interface CommandRunOptions {
  readonly statements: Statements
  readonly reader: ProcessReader
  readonly newToken: () => string
  /** Where changes are told, if anywhere. */
  readonly channel: string | undefined
}

/**
 * One call that changes processes, however often its transaction is tried. It knows itself again in what it wrote: when a
 * commit went unanswered, the next attempt finds out whether it was made, and nothing is done twice.
 */
export class CommandRun<Result> {
  readonly #commands: readonly ProcessCommand<Result>[]
  readonly #options: CommandRunOptions
  /** Goes into every entry that this call writes. */
  readonly #name: string
  #decided: readonly Decided<Result>[] | undefined

  constructor(commands: readonly ProcessCommand<Result>[], options: CommandRunOptions) {
    this.#commands = commands
    this.#options = options
    this.#name = options.newToken()
  }

  /** The body of the transaction. */
  async attempt(transaction: Transaction): Promise<readonly Decided<Result>[]> {
    if (
      transaction.mayHaveLanded &&
      this.#decided !== undefined &&
      (await this.#hasLanded(transaction, this.#decided))
    ) {
      return this.#decided
    }
    // In one order whatever the order of the commands is, so that no two calls wait for each other.
    if (this.#commands.length > 1) {
      const ids = [...new Set(this.#commands.map(({ processId }) => processId))].sort(compareText)
      await transaction.query(this.#options.statements.lockAll, [ids])
    }
    const decided: Decided<Result>[] = []
    for (const command of this.#commands) decided.push(await this.#decide(transaction, command))
    this.#decided = decided
    return decided
  }

  async #decide(transaction: Transaction, command: ProcessCommand<Result>): Promise<Decided<Result>> {
    for (;;) {
      const { rows, context } = await this.#load(transaction, command)
      const decided = command.decide(rows, context)
      if (await this.#write(transaction, command.processId, decided)) return decided
      // Somebody else was first to register the id, so that there is something to decide by now.
    }
  }

  async #load(
    transaction: Transaction,
    { processId, key, scopeId }: ProcessCommand<Result>,
  ): Promise<{ readonly rows: ProcessRows; readonly context: DecisionContext }> {
    const { statements, reader, newToken } = this.#options
    // Sent together: the server does the second when it has the lock of the first.
    const [lock, others] = await Promise.all([
      transaction.query(statements.lock, [processId]),
      transaction.query(statements.readBeside, [processId, key ?? null, scopeId ?? null]),
    ])
    const [locked] = lock.rows
    const [beside] = others.rows as [SqlRow]
    const process = locked && (await reader.complete(transaction, locked))
    const rows: ProcessRows = {
      process,
      tombstone: beside['terminal_label'] === null ? undefined : tombstoneRowOf({ ...beside, process_id: processId }),
      lease: leaseRowOf(beside),
      keyed: beside['sequence'] === null ? undefined : entryOf(beside),
      grant: beside['scope_id'] === null ? undefined : grantOf({ ...beside, process_id: processId }),
    }
    return { rows, context: { nowMs: beside['now_ms'] as number, newToken } }
  }

  /** Writes what was decided; false when the process is there that should have been registered. */
  async #write(transaction: Transaction, processId: ProcessId, { writes, process }: Decided<Result>): Promise<boolean> {
    if (writes === undefined) return true
    const { statements, channel } = this.#options
    const write = (statement: SqlStatement, values: readonly SqlValue[]): void =>
      transaction.send(statement, [processId, ...values])
    const { register, lease, ack, grant, revoke } = writes
    if (register !== undefined) {
      const { rowCount } = await transaction.query(statements.register, [processId, ...registerValues(register)])
      if (rowCount === 0) return false
    } else if (process !== undefined) {
      this.#writeState(write, writes, process)
    }
    if (lease !== undefined) write(statements.putLease, leaseValues(lease))
    if (ack !== undefined) write(statements.putAck, [ack])
    if (revoke !== undefined) transaction.send(statements.removeGrant, [revoke, processId])
    if (grant !== undefined) transaction.send(statements.putGrant, grantValues(grant))
    if (channel !== undefined && process !== undefined) transaction.send(statements.notify, [channel, processId])
    return true
  }

  #writeState(
    write: (statement: SqlStatement, values: readonly SqlValue[]) => void,
    { entries = [] }: ProcessWrites,
    { state }: StoredProcess,
  ): void {
    const { statements } = this.#options
    const last = entries.at(-1)
    for (const entry of entries.slice(0, -1)) write(statements.insertEntry, [...entryValues(entry), this.#name])
    // What is there already is not sent again: an outcome may be long.
    const hasOutcome = last === undefined || entries.some(({ semantics }) => semantics?.terminal !== undefined)
    const values = stateValues(state, { hasOutcome })
    if (last === undefined) write(statements.update, values)
    else write(statements.append, [...values, ...entryValues(last), this.#name])
  }

  /** Whether what was decided stands: all of it does when one part of it that nobody else can have written does. */
  async #hasLanded(transaction: Transaction, decided: readonly Decided<Result>[]): Promise<boolean> {
    const { statements } = this.#options
    const isFound = async (statement: SqlStatement, values: readonly SqlValue[]): Promise<boolean> =>
      (await transaction.query(statement, values)).rows.length > 0
    for (const [index, { writes }] of decided.entries()) {
      const { processId } = this.#commands[index] as ProcessCommand<Result>
      const [entry] = writes?.entries ?? []
      if (entry !== undefined) return isFound(statements.findEntryOfCall, [processId, entry.sequence, this.#name])
      const holder = writes?.lease?.holder
      if (holder !== undefined) {
        return isFound(statements.findToken, [processId, holder.leaseToken, holder.expiresAtMs])
      }
      const { grant, revoke } = writes ?? {}
      if (grant !== undefined && revoke !== undefined) {
        return (
          (await isFound(statements.findGrant, [grant.scopeId, processId])) &&
          !(await isFound(statements.findGrant, [revoke, processId]))
        )
      }
    }
    // Everything else comes to the same when it is done again.
    return false
  }
}

function registerValues(process: StoredProcess): readonly SqlValue[] {
  const { registered, registrationHash, createdAtMs, wakeTarget, state } = process
  return [
    registrationHash,
    createdAtMs,
    wakeTarget?.sessionId ?? null,
    wakeTarget?.agentFrameId ?? null,
    ...stateValues(state, { hasOutcome: true }),
    ...registrationValues(registered, createdAtMs),
  ]
}
