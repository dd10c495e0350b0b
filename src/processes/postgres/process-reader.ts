import { RecentValues } from '../../base/recent-values.js'
import type { SqlRow } from '../../postgres/index.js'
import { ProcessError } from '../errors.js'
import type { StoredProcess } from '../record.js'
import type { CommonPart, Registered } from '../registration.js'
import { processOf, registeredOf } from './rows.js'

/** The size of the registration cache, in characters. */
const keptCharacters = 2 ** 23
/** The size of the cache for common parts of registrations, in characters. */
const keptCommonCharacters = 2 ** 20

interface Known {
  readonly hash: string
  readonly registered: Registered
}

/**
 * Reads processes and caches their registrations. A registration never changes under the same id and hash, so it is not
 * read and checked again with every event.
 */
export class ProcessReader {
  readonly #registrations = new RecentValues<Known>(keptCharacters)
  readonly #commons = new RecentValues<CommonPart>(keptCommonCharacters)

  /** The cached registration of a row. It may be evicted a moment later. */
  known(row: SqlRow): Registered | undefined {
    const found = this.#registrations.get(row['process_id'] as string)
    return found?.hash === row['registration_hash'] ? found?.registered : undefined
  }

  /** Reads a process. The row includes the registration unless it is cached. Raises `process.stored_invalid`. */
  process(row: SqlRow, known: Registered | undefined = this.known(row)): StoredProcess {
    return processOf(row, known ?? this.#read(row))
  }

  /** Caches a registration that was just written. `size` is its approximate length in characters. */
  remember(registered: Registered, hash: string, size: number): void {
    this.#registrations.set(registered.id, { hash, registered }, size)
  }

  #read(row: SqlRow): Registered {
    const text = row['registered']
    if (typeof text !== 'string') {
      const reason = 'the row is missing'
      throw new ProcessError('process.stored_invalid', { field: 'process_registrations', reason })
    }
    const registered = registeredOf(row, this.#commons)
    this.remember(registered, row['registration_hash'] as string, text.length)
    return registered
  }
}
