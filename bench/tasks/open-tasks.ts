import { createDirectoryJournal } from '../../src/journal/directory-journal.js'
import type { FileSystem } from '../../src/journal/file-system.js'
import { Lane } from '../../src/lane/lane.js'
import { TaskAuthority } from '../../src/tasks/authority.js'

/** An authority over a journal, with the lane that has to be closed behind it. */
export interface OpenedTasks extends AsyncDisposable {
  readonly authority: TaskAuthority
  readonly lane: Lane
}

/** Opens the tasks room on a directory journal as a runtime does, or in memory without a directory. */
export async function openTasks(directory?: string, fileSystem?: FileSystem): Promise<OpenedTasks> {
  const authority = new TaskAuthority()
  const lane = await Lane.open({
    ...(directory !== undefined && {
      store: createDirectoryJournal({ directory, ...(fileSystem !== undefined && { fileSystem }) }),
    }),
    // Snapshots are written when a bench says so.
    compactAfter: Number.POSITIVE_INFINITY,
    streamFor: (name) => (name === TaskAuthority.streamName ? authority : undefined),
  })
  authority.start(lane)
  return { authority, lane, [Symbol.asyncDispose]: () => lane.close() }
}
