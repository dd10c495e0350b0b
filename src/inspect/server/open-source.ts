import { stat } from 'node:fs/promises'
import type { Clock } from '../../base/clock.js'
import { secretKeys } from '../../base/mask.js'
import { DirectorySource } from '../sources/directory-source.js'
import { openRecordingFile } from '../sources/recording-file.js'
import { RecordingSource } from '../sources/recording-source.js'
import { release } from '../sources/release.js'
import { RemoteSource } from '../sources/remote-source.js'
import type { InspectorSource } from '../sources/source.js'
import { ShownValues } from '../stream/shown-values.js'

/** Options for opening a source from outside the process. */
export interface OpenSourceOptions {
  /** Address of an inspector, a data directory, or the file of a recording. */
  readonly target: string
  /** Whether contents are shown; recordings and services show what they themselves contain or allow. */
  readonly values: boolean
  /** Finds the journal's directory within the given one. Rejects if there is none. */
  readonly locate: (directory: string) => Promise<string>
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** Number of held entries for the stream of a directory. */
const capacity = 10_000

/** Opens the target of a command line. Rejects like the source does. */
export async function openSource(options: OpenSourceOptions): Promise<InspectorSource> {
  const { target, values, locate, clock, signal } = options
  if (/^https?:\/\//i.test(target)) return RemoteSource.open(target, signal)
  if (await isFile(target)) {
    return RecordingSource.open({ file: await openRecordingFile(target), release: release(), clock, signal })
  }
  const shown = new ShownValues({ values, isSecret: secretKeys() })
  return DirectorySource.open({ directory: await locate(target), clock, shown, capacity })
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile()
  } catch {
    // A missing target is reported by whoever looks for the journal.
    return false
  }
}
