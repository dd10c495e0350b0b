import { join } from 'node:path'
import type { Logger } from '../base/logger.js'
import { crc32 } from './crc32.js'
import type { BrokenEnd, Findings } from './examine.js'
import { readWhole, writeFileDurably, type FileSystem } from './file-system.js'
import { endOfData } from './frame.js'
import type { JournalCut } from './journal.js'
import { paddedSequence } from './segment.js'
import { cutFile } from './segment-log.js'
import { temporarySuffix } from './spare-segment.js'

/**
 * Brings a directory into the state that `findings` describe: bytes after the end of the log are copied to a separate
 * file and cut, and unused files are removed. If this is interrupted at any point, the next opening finds the same
 * records.
 *
 * Resolves with what was cut or found missing, if anything.
 */
export async function repairDirectory(
  fileSystem: FileSystem,
  directory: string,
  { brokenEnd, leftovers }: Findings,
  logger: Logger,
): Promise<JournalCut | undefined> {
  for (const path of leftovers) await fileSystem.unlink(path)
  const cut = brokenEnd && (await cutEnd(fileSystem, directory, brokenEnd))
  if (leftovers.length > 0 || cut !== undefined) await fileSystem.syncDirectory(directory)
  if (cut !== undefined) logger.warn(cut, messages[cut.cause])
  return cut
}

const messages: Readonly<Record<JournalCut['cause'], string>> = {
  torn_write: 'an unfinished write at the end of the journal was cut',
  damage: 'a damaged end of the journal was cut: records that were acknowledged may be lost',
  missing_records: 'the journal goes on without records that were acknowledged and are missing at its end',
}

async function cutEnd(fileSystem: FileSystem, directory: string, end: BrokenEnd): Promise<JournalCut> {
  const { cause, path: file, damage, sequence } = end
  const cut = { cause, file, ...damage, sequence }
  if (cause === 'missing_records') return cut
  const keptIn = await keepAside(fileSystem, directory, end)
  // A segment whose mark is damaged contains nothing usable.
  if (damage.offset === 0) await fileSystem.unlink(file)
  else await cutFile(fileSystem, file, damage.offset)
  return { ...cut, keptIn }
}

const keptPattern = /^cut-\d+-[0-9a-f]{8}\.bin$/

/** Whether a file of this name holds bytes that were cut from the end of a log. */
export function isKeptCut(name: string): boolean {
  return keptPattern.test(name)
}

/**
 * Copies the bytes to a separate file. The name is derived from the bytes, so repeating this overwrites the same
 * file.
 */
async function keepAside(
  fileSystem: FileSystem,
  directory: string,
  { path, damage, sequence }: BrokenEnd,
): Promise<string> {
  const bytes = await readWhole(fileSystem, path)
  const rest = bytes.subarray(damage.offset, endOfData(bytes, damage.offset))
  const checksum = crc32(rest).toString(16).padStart(8, '0')
  const kept = join(directory, `cut-${paddedSequence(sequence)}-${checksum}.bin`)
  await writeFileDurably(fileSystem, { directory, path: kept, temporary: `${kept}${temporarySuffix}`, bytes: rest })
  return kept
}
