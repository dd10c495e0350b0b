import type { SqlRow, SqlRunner } from '../../postgres/index.js'
import { ProcessError } from '../errors.js'
import type { StoredProcess } from '../record.js'
import type { Registered } from '../registration.js'
import { RegistrationCache } from './registration-cache.js'
import { processOf, registeredOf } from './rows.js'
import type { Statements } from './statements.js'

/** Characters of registrations that are kept. */
const keptCharacters = 2 ** 23

/** Reads processes, and remembers their registrations. */
export class ProcessReader {
  readonly #statements: Statements
  readonly #registrations = new RegistrationCache(keptCharacters)

  constructor(statements: Statements) {
    this.#statements = statements
  }

  /** A process by a row without its registration, which is read if it is not known. */
  async complete(runner: SqlRunner, row: SqlRow): Promise<StoredProcess> {
    const known = this.#known(row)
    if (known !== undefined) return processOf(row, known)
    const [found] = (await runner.query(this.#statements.readRegistration, [row['process_id'] as string])).rows
    if (found === undefined) {
      throw new ProcessError('process.stored_invalid', { field: 'process_registrations', reason: 'the row is missing' })
    }
    return this.process({ ...row, registered: found['registered'] })
  }

  /** Whether a row without its registration is enough. */
  knows(row: SqlRow): boolean {
    return this.#known(row) !== undefined
  }

  /** A process by a row with its registration. */
  process(row: SqlRow): StoredProcess {
    let registered = this.#known(row)
    if (registered === undefined) {
      registered = registeredOf(row)
      const size = (row['registered'] as string).length
      this.#registrations.set(registered, row['registration_hash'] as string, size)
    }
    return processOf(row, registered)
  }

  #known(row: SqlRow): Registered | undefined {
    return this.#registrations.get(row['process_id'] as string, row['registration_hash'] as string)
  }
}
