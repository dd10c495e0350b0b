import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { messageOf, StatewardError } from '../../base/errors.js'

/** Raised with code `no_journal` for a directory without a journal. */
export class NoJournalError extends StatewardError<'no_journal', { readonly directory: string }> {
  override readonly name = 'NoJournalError'
}

/**
 * Finds the directory of the journal: the given one, or its `journal` subdirectory, as plans have it. Raises
 * `no_journal` when neither holds one.
 */
export async function locateJournal(named: string): Promise<string> {
  const directory = resolve(named)
  const inside = join(directory, 'journal')
  for (const candidate of [inside, directory]) {
    if (existsSync(candidate) && (await holdsJournal(candidate, named))) return candidate
  }
  throw new NoJournalError('no_journal', `there is no journal in ${named}`, { directory })
}

async function holdsJournal(directory: string, named: string): Promise<boolean> {
  try {
    const names = await readdir(directory)
    return names.some((name) => /^(?:journal-|snapshot-|lock\.)/.test(name))
  } catch (cause) {
    const reason = `cannot read ${named}: ${messageOf(cause)}`
    throw new NoJournalError('no_journal', reason, { directory: named }, { cause })
  }
}
