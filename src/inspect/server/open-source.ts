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

/** What is to be looked at from outside. */
export interface OpenSourceOptions {
  /** Address of an inspector, a data directory, or the file of a recording. */
  readonly target: string
  /** Whether contents are shown; those of a recording and of a service are shown as far as these have them. */
  readonly values: boolean
  /** The directory of the journal in the one that is named. Rejects where there is none. */
  readonly locate: (directory: string) => Promise<string>
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** Entries of the stream of a directory that are held. */
const capacity = 10_000

/** Opens what a command line names. Rejects as the source does. */
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
    // That there is nothing says whoever looks for the journal.
    return false
  }
}
