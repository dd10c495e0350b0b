import type { PgClient, SqlResult, SqlRow, SqlRunner, SqlStatement, SqlValue } from './client.js'
import { valueTypes } from './client.js'
import { storeErrorOf } from './sql-state.js'

/** What the body of a transaction is given. */
export interface Transaction extends SqlRunner {
  /**
   * True when an earlier attempt may have been committed although its answer was lost. What is not the same when it is
   * done twice has to look for what it did before.
   */
  readonly mayHaveLanded: boolean
  /** Sends a statement whose answer nobody needs: what goes wrong with it is what the transaction fails with. */
  send(statement: SqlStatement, values?: readonly SqlValue[]): void
  /** Runs text of several statements that has no parameters; for what defines tables. */
  script(text: string): Promise<void>
}

/** Clients that never bring the process down any more: one that is being ended may still complain, when nobody listens. */
const guarded = new WeakSet<PgClient>()

/** Sees to it that what happens to a client that nobody uses harms nobody. */
export function guardClient(client: PgClient): void {
  if (guarded.has(client)) return
  guarded.add(client)
  client.on('error', () => {})
}

/** One connection, taken out of the pool, and what it knows of itself. */
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
    // A connection that breaks while nothing is under way on it says so here, and nowhere else.
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

  /** Runs text without parameters and says which command the server did. */
  async command(text: string): Promise<string> {
    // Text of several statements has an answer for each.
    const answer = await this.#run({ text })
    return Array.isArray(answer) ? '' : answer.command
  }

  /** This connection is in a state that nobody else must find it in. */
  spoil(): void {
    this.#mustGo = true
  }

  /** Gives the connection back to the pool, or ends it if it is broken. */
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
