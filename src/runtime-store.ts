import { dirname, resolve } from 'node:path'
import type { Clock } from './base/clock.js'
import { InvalidInputError, messageOf, StatewardError } from './base/errors.js'
import type { Logger } from './base/logger.js'
import { createDirectoryJournal } from './journal/directory-journal.js'
import { JournalError } from './journal/errors.js'
import type { JournalStore } from './journal/journal.js'
import { makeDirectories } from './journal/node-file-system.js'
import type { RuntimeOptions } from './runtime-options.js'

/** Opens the durable log of a runtime; `undefined` for a runtime in memory. */
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
  // The journal creates its own directory, but requires the parent directory to exist.
  await makeDirectories(dirname(resolve(dataDir)))
  return journal
}

function refuseOption(field: string, reason: string): never {
  throw new InvalidInputError({ subject: 'runtime options', field, reason })
}

/** Wraps what a custom store throws in `journal_io`; errors of stateward pass through unchanged. */
export async function asJournalError<Value>(operation: string, work: () => Promise<Value>): Promise<Value> {
  try {
    return await work()
  } catch (error) {
    if (StatewardError.is(error)) throw error
    throw new JournalError('journal_io', { operation, file: 'store', cause: messageOf(error) }, { cause: error })
  }
}
