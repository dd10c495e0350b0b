import type { PgClient, SqlResult, SqlRow, SqlRunner, SqlStatement, SqlValue } from './client.js'
import { valueTypes } from './client.js'
import { storeErrorOf } from './sql-state.js'

/** The argument of a transaction's body. */
export interface Transaction extends SqlRunner {
  /**
   * True if an earlier attempt may have been committed although its answer was lost. Anything that must not be done
   * twice has to be checked for first.
   */
  readonly mayHaveLanded: boolean
  /** Sends a statement without waiting for its answer. If it fails, the transaction fails with its error. */
  send(statement: SqlStatement, values?: readonly SqlValue[]): void
  /** Runs a text of several statements without parameters, to define tables. */
  script(text: string): Promise<void>
}

/**
 * Clients that have an error listener. A client that is being ended may still emit an error, which would otherwise
 * crash the process.
 */
const guarded = new WeakSet<PgClient>()

/** Makes sure that an error on an unused client does not crash the process. */
export function guardClient(client: PgClient): void {
  if (guarded.has(client)) return
  guarded.add(client)
  client.on('error', () => {})
}

/** One connection taken out of the pool, and its state. */
export class Connection implements SqlRunner {
  readonly #client: PgClient
  readonly #isPrepared: boolean
  #lost: Error | undefined
  #mustGo = false
  readonly #onError = (error: Error): void => {
    this.#lost ??= error
  }

  constructor(client: PgClient, { isPrepared }: { readonly isPrepared: boolean }) {
    this.#client = client
    this.#isPrepared = isPrepared
    // A connection that breaks while no statement is running reports it only here.
    client.on('error', this.#onError)
  }

  async query({ name, text }: SqlStatement, values: readonly SqlValue[] = []): Promise<SqlResult> {
    const { rows, rowCount } = await this.#run({
      text,
      values: [...values],
      types: valueTypes,
      ...(this.#isPrepared && { name }),
    })
    return { rows: rows as readonly SqlRow[], rowCount: rowCount ?? 0 }
  }

  /** Runs text without parameters and returns the name of the command that the server executed. */
  async command(text: string): Promise<string> {
    // A text of several statements gets an answer for each.
    const answer = await this.#run({ text })
    return Array.isArray(answer) ? '' : answer.command
  }

  /** Marks the connection as unusable, so that it is not reused. */
  spoil(): void {
    this.#mustGo = true
  }

  /** Returns the connection to the pool, or closes it if it is unusable. */
  release(): void {
    this.#client.removeListener('error', this.#onError)
    this.#client.release(this.#mustGo || this.#lost !== undefined)
  }

  async #run(query: Parameters<PgClient['query']>[0]): ReturnType<PgClient['query']> {
    if (this.#lost !== undefined) throw storeErrorOf(this.#lost)
    try {
      return await this.#client.query(query)
    } catch (thrown) {
      throw storeErrorOf(thrown)
    }
  }
}
