import type { Findings } from './examine.js'
import type { ReadableFiles } from './file-system.js'
import type { JournalRecovery } from './journal.js'
import { replayParts } from './replay.js'
import { snapshotRows } from './snapshot-file.js'

/** The recovered data of an examined directory. Rows and records are read and decoded while iterating. */
export function recoveryOf(files: ReadableFiles, directory: string, { replay, snapshot }: Findings): JournalRecovery {
  const records = replayParts(files, replay, snapshot?.through ?? 0)
  if (snapshot === undefined) return { records }
  return { records, snapshot: { through: snapshot.through, rows: snapshotRows(files, directory, snapshot) } }
}
