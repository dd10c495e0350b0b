import { join } from 'node:path'
import type { Logger } from '../base/logger.js'
import { crc32 } from './crc32.js'
import type { Findings, TornTail } from './examine.js'
import { readWhole, writeFileDurably, type FileSystem } from './file-system.js'
import { endOfData } from './frame.js'
import { paddedSequence } from './segment.js'
import { cutFile } from './segment-log.js'
import { temporarySuffix } from './spare-segment.js'

/**
 * Brings a directory into the state that `findings` describe: the torn tail is kept aside and cut, files without a use
 * are removed. Interrupted at any point, the next opening finds the same records.
 */
export async function repairDirectory(
  fileSystem: FileSystem,
  directory: string,
  { tornTail, leftovers }: Findings,
  logger: Logger,
): Promise<void> {
  for (const path of leftovers) await fileSystem.unlink(path)
  if (tornTail !== undefined) {
    const kept = await keepAside(fileSystem, directory, tornTail)
    await cutFile(fileSystem, tornTail.path, tornTail.damage.offset)
    logger.warn({ file: tornTail.path, ...tornTail.damage, kept }, 'an unfinished write at the end was cut')
  }
  if (leftovers.length > 0 || tornTail !== undefined) await fileSystem.syncDirectory(directory)
}

/** Copies the torn bytes to a file of their own; the same bytes get the same name, however often this is repeated. */
async function keepAside(
  fileSystem: FileSystem,
  directory: string,
  { path, damage, sequence }: TornTail,
): Promise<string> {
  const bytes = await readWhole(fileSystem, path)
  const torn = bytes.subarray(damage.offset, endOfData(bytes, damage.offset))
  const checksum = crc32(torn).toString(16).padStart(8, '0')
  const kept = join(directory, `torn-${paddedSequence(sequence)}-${checksum}.bin`)
  await writeFileDurably(fileSystem, { directory, path: kept, temporary: `${kept}${temporarySuffix}`, bytes: torn })
  return kept
}
