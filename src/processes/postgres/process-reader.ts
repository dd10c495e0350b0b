import type { SqlRow } from '../../postgres/index.js'
import { ProcessError } from '../errors.js'
import type { StoredProcess } from '../record.js'
import type { Registered } from '../registration.js'
import { RegistrationCache } from './registration-cache.js'
import { processOf, registeredOf } from './rows.js'

/** Characters of registrations that are kept. */
const keptCharacters = 2 ** 23

/** Reads processes, and remembers their registrations. */
export class ProcessReader {
  readonly #registrations = new RegistrationCache(keptCharacters)

  /** Whether a row without its registration is enough. */
  knows(row: SqlRow): boolean {
    return this.#known(row) !== undefined
  }

  /** A process by a row with its registration, unless that is known. Raises `process.stored_invalid`. */
  process(row: SqlRow): StoredProcess {
    let registered = this.#known(row)
    if (registered === undefined) {
      const text = row['registered']
      if (typeof text !== 'string') {
        const reason = 'the row is missing'
        throw new ProcessError('process.stored_invalid', { field: 'process_registrations', reason })
      }
      registered = registeredOf(row)
      this.#registrations.set(registered, row['registration_hash'] as string, text.length)
    }
    return processOf(row, registered)
  }

  /** Remembers a registration that was just written; `size` is about how many characters it has. */
  remember(registered: Registered, registrationHash: string, size: number): void {
    this.#registrations.set(registered, registrationHash, size)
  }

  #known(row: SqlRow): Registered | undefined {
    return this.#registrations.get(row['process_id'] as string, row['registration_hash'] as string)
  }
}
