import { dirname, resolve } from 'node:path'
import type { Clock } from './base/clock.js'
import { InvalidInputError, messageOf, StatewardError } from './base/errors.js'
import type { Logger } from './base/logger.js'
import { createDirectoryJournal } from './journal/directory-journal.js'
import { JournalError } from './journal/errors.js'
import type { JournalStore } from './journal/journal.js'
import { makeDirectories } from './journal/node-file-system.js'
import type { RuntimeOptions } from './runtime-options.js'

/** The durable log of a runtime; none for one in memory. */
export async function storeOf(
  { store, dataDir, lockWaitMs, onDamage }: RuntimeOptions,
  clock: Clock,
  logger: Logger,
): Promise<JournalStore | undefined> {
  if (dataDir === undefined) {
    const field = lockWaitMs !== undefined ? 'lockWaitMs' : 'onDamage'
    if (lockWaitMs !== undefined || onDamage !== undefined) refuseOption(field, 'says something about dataDir only')
    return store
  }
  if (store !== undefined) refuseOption('store', 'excludes dataDir')
  const policies = { ...(lockWaitMs !== undefined && { lockWaitMs }), ...(onDamage !== undefined && { onDamage }) }
  const journal = createDirectoryJournal({ directory: dataDir, logger, clock, ...policies })
  // The journal makes its own directory and insists on the one above it.
  await makeDirectories(dirname(resolve(dataDir)))
  return journal
}

function refuseOption(field: string, reason: string): never {
  throw new InvalidInputError({ subject: 'runtime options', field, reason })
}

/** What a store of another make throws leaves as `journal_io`; our own errors stay as they are. */
export async function asJournalError<Value>(operation: string, work: () => Promise<Value>): Promise<Value> {
  try {
    return await work()
  } catch (error) {
    if (StatewardError.is(error)) throw error
    throw new JournalError('journal_io', { operation, file: 'store', cause: messageOf(error) }, { cause: error })
  }
}
