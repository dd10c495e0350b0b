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

/** Options of {@link readDirectory}. */
export interface ReadDirectoryOptions {
  /** The directory of a journal: the `dataDir` of its runtime. */
  readonly directory: string
  /** For tests. Default: the file system of this process. */
  readonly fileSystem?: FileSystem
}

/**
 * The readable part of a session. Operations that have not ended are listed as `lost`; if the directory has a live
 * owner, they are running.
 */
export type ReadableSession = Pick<Session, 'id' | 'epochId' | 'feed' | 'lost'> & {
  readonly operations: Pick<Session['operations'], 'snapshot' | 'activeCount' | 'completionCursor' | 'pendingWaits'>
  readonly view: Pick<Session['view'], 'rows' | 'row'>
}

/** The state of a directory at one instant. */
export interface DirectoryState extends Pick<JournalReading, 'owner' | 'brokenEnd' | 'nextSequence' | 'cuts'> {
  readonly sessions: readonly ReadableSession[]
  readonly tasks: TaskProjection
  /** The ends of tasks, in order. */
  readonly taskEnds: Feed<TaskEnd>
  readonly processes: Pick<ProcessStore, 'getProcess' | 'listProcesses' | 'eventsAfter' | 'recentEvents' | 'getLease'>
  /** The records of a node; absent if there is no node. */
  readonly node?: Pick<NodeHistory, 'chains' | 'checkpoints'>
}

const optionsOfReading = optionsSchema<ReadDirectoryOptions>({
  directory: nameSchema,
  fileSystem: v.optional(portSchema<FileSystem>(['open'])),
})

/**
 * Reads the state of a directory without owning it, whether its owner is running or not. Takes no lock, writes nothing
 * and does not disturb the owner. The result describes one instant and does not change afterwards.
 *
 * Rejects with `invalid_input`, `journal_corrupt`, `journal_io`, and the errors with which a runtime refuses to open on
 * this journal.
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
    // Never compact: this lane writes nothing.
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

/** A read-only store for the lane: every write throws `read_only`. */
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
