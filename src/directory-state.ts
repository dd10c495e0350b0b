import * as v from 'valibot'
import { systemClock } from './base/clock.js'
import { decode } from './base/decode.js'
import { DeadlineQueue } from './base/deadline-queue.js'
import { StatewardError } from './base/errors.js'
import type { Feed } from './base/feed.js'
import { createUuidSource } from './base/ids.js'
import { silentLogger } from './base/logger.js'
import { nameSchema, optionsSchema, portSchema } from './base/options.js'
import type { FileSystem } from './journal/file-system.js'
import type { Journal, JournalStore } from './journal/journal.js'
import { readDirectoryJournal, type JournalReading } from './journal/reading.js'
import { Lane } from './lane/lane.js'
import { chainNames, NodeHistory } from './node/index.js'
import { SessionDirectory, type Session } from './operations/index.js'
import { EmbeddedProcessStore, type ProcessStore } from './processes/index.js'
import { TaskAuthority, type TaskEnd, type TaskProjection } from './tasks/index.js'
import { JobList } from './work/job-list.js'

/** What is read. */
export interface ReadDirectoryOptions {
  /** The directory of a journal: `dataDir` of its runtime. */
  readonly directory: string
  /** For tests; the one of the process unless told. */
  readonly fileSystem?: FileSystem
}

/** What of a session can be read. Operations that have not ended are `lost`, or running if the directory has a live owner. */
export type ReadableSession = Pick<Session, 'id' | 'epochId' | 'feed' | 'lost'> & {
  readonly operations: Pick<Session['operations'], 'snapshot' | 'activeCount' | 'completionCursor' | 'pendingWaits'>
  readonly view: Pick<Session['view'], 'rows' | 'row'>
}

/** What a directory held at one instant, in the terms of the rooms. */
export interface DirectoryState extends Pick<JournalReading, 'owner' | 'brokenEnd' | 'nextSequence' | 'cuts'> {
  readonly sessions: readonly ReadableSession[]
  readonly tasks: TaskProjection
  /** What has ended of them, in order. */
  readonly taskEnds: Feed<TaskEnd>
  readonly processes: Pick<ProcessStore, 'getProcess' | 'listProcesses' | 'eventsAfter' | 'recentEvents' | 'getLease'>
  /** What a node has written down; absent where there was none. */
  readonly node?: Pick<NodeHistory, 'chains' | 'checkpoints'>
}

const optionsOfReading = optionsSchema<ReadDirectoryOptions>({
  directory: nameSchema,
  fileSystem: v.optional(portSchema<FileSystem>(['open'])),
})

/**
 * Reads the state in a directory without owning it, beside its owner or after it: takes no lock, writes nothing and is in
 * nobody's way. What it gives belongs to one instant and changes no more.
 *
 * Rejects with `invalid_input`, with `journal_corrupt` and `journal_io`, and with the errors of a runtime that cannot be
 * opened on what the journal says.
 */
export async function readDirectory(options: ReadDirectoryOptions): Promise<DirectoryState> {
  const decoded = decode(optionsOfReading, options, 'directory reading options')
  await using reading = await readDirectoryJournal(decoded)
  const { owner, brokenEnd, cuts, nextSequence } = reading
  const clock = systemClock
  const ids = createUuidSource({ now: () => clock.wallNow() })
  using deadlines = new DeadlineQueue(clock)
  const sessions = new SessionDirectory({ clock, logger: silentLogger, ids, deadlines, jobs: new JobList() })
  const authority = new TaskAuthority()
  const processes = new EmbeddedProcessStore()
  const history = new NodeHistory()
  const lane = await Lane.open({
    store: storeOf(reading),
    // Nothing is ever written.
    compactAfter: Number.MAX_SAFE_INTEGER,
    streamFor: (name) => {
      if (name === TaskAuthority.streamName) return authority
      if (name === NodeHistory.streamName) return history
      return name === EmbeddedProcessStore.streamName ? processes.stream : sessions.streamFor(name)
    },
  })
  sessions.start(lane)
  authority.start(lane)
  processes.start(lane)
  return {
    nextSequence,
    ...(owner !== undefined && { owner }),
    ...(brokenEnd !== undefined && { brokenEnd }),
    cuts,
    sessions: [...sessions.all()],
    tasks: authority.projection,
    taskEnds: authority.feed,
    processes,
    ...(isUsed(history) && { node: history }),
  }
}

function isUsed(history: NodeHistory): boolean {
  return history.checkpoints().length > 0 || chainNames.some((name) => history.chains[name].watermark() > 0)
}

/** A store for a lane that only reads. */
function storeOf({ recovery, nextSequence }: JournalReading): JournalStore {
  const refused = (): never => {
    throw new StatewardError('read_only', 'the directory is only read', {})
  }
  const journal: Journal = {
    nextSequence,
    tailLength: 0,
    append: refused,
    compact: refused,
    reopen: refused,
    settled: () => Promise.resolve(),
    close: () => Promise.resolve(),
  }
  return { open: () => Promise.resolve({ journal, recovery }) }
}
