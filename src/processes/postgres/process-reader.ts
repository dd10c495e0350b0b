import { RecentValues } from '../../base/recent-values.js'
import type { SqlRow } from '../../postgres/index.js'
import { ProcessError } from '../errors.js'
import type { StoredProcess } from '../record.js'
import type { CommonPart, Registered } from '../registration.js'
import { processOf, registeredOf } from './rows.js'

/** Characters of registrations that are kept. */
const keptCharacters = 2 ** 23
/** And of what registrations have in common. */
const keptCommonCharacters = 2 ** 20

interface Known {
  readonly hash: string
  readonly registered: Registered
}

/**
 * Reads processes, and remembers their registrations. They never change under their id and hash, so that neither they nor what
 * is made of them is read and checked again with every event.
 */
export class ProcessReader {
  readonly #registrations = new RecentValues<Known>(keptCharacters)
  readonly #commons = new RecentValues<CommonPart>(keptCommonCharacters)

  /** The registration that goes with a row, where it is remembered. It may be forgotten a moment later. */
  known(row: SqlRow): Registered | undefined {
    const found = this.#registrations.get(row['process_id'] as string)
    return found?.hash === row['registration_hash'] ? found?.registered : undefined
  }

  /** A process by a row with its registration, unless that is known. Raises `process.stored_invalid`. */
  process(row: SqlRow, known: Registered | undefined = this.known(row)): StoredProcess {
    return processOf(row, known ?? this.#read(row))
  }

  /** Remembers a registration that was just written; `size` is about how many characters it has. */
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
