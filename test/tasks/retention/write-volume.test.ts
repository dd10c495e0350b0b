import { describe, expect, it } from 'vitest'
import { createDirectoryJournal } from '../../../src/journal/directory-journal.js'
import type { FileSystem } from '../../../src/journal/file-system.js'
import type { JournalStore } from '../../../src/journal/journal.js'
import { nodeFileSystem } from '../../../src/journal/node-file-system.js'
import { createRuntime } from '../../../src/runtime.js'
import { SimulatedClock } from '../../../src/testing/simulated-clock.js'
import type { RetentionOptions } from '../../../src/tasks/index.js'
import { temporaryDirectory } from '../../journal/support/directory.js'

/** Bytes that were written: to segments, and to snapshots. Segments are filled with zeros before, which is not counted. */
interface Written {
  records: number
  snapshots: number
}

/** The file system of the process, which counts what is written and promises nothing about power failures. */
function countingFileSystem(written: Written): FileSystem {
  return {
    ...nodeFileSystem,
    async open(path, mode) {
      const file = await nodeFileSystem.open(path, mode === 'durable' ? 'update' : mode)
      return {
        descriptor: file.descriptor,
        isAt: (name) => file.isAt(name),
        size: () => file.size(),
        read: (into, position) => file.read(into, position),
        readSync: (position, length) => file.readSync(position, length),
        write: async (bytes, position) => {
          const count = await file.write(bytes, position)
          if (path.includes('snapshot-')) written.snapshots += count
          else if (mode === 'durable') written.records += count
          return count
        },
        sync: async () => {},
        truncate: (length) => file.truncate(length),
        close: () => file.close(),
      }
    },
  }
}

/** The store, and what waits for the snapshot that is being written: how many there are must not depend on the machine. */
function watchedStore(store: JournalStore): { readonly store: JournalStore; readonly settled: () => Promise<void> } {
  let running: Promise<void> | undefined
  return {
    store: {
      open: async () => {
        const opened = await store.open()
        const { journal } = opened
        const compact = journal.compact.bind(journal)
        journal.compact = (snapshot) => {
          running = compact(snapshot)
          return running
        }
        return opened
      },
    },
    settled: async () => running,
  }
}

/**
 * Bytes per task after 500 tasks, 1,000, and so on up to 5,000, in processes that live for 500 of them each, counted after so
 * many that went before.
 */
async function volumesWith(
  before: number,
  retention?: RetentionOptions,
): Promise<readonly { all: number; snapshots: number }[]> {
  const written: Written = { records: 0, snapshots: 0 }
  const directory = await temporaryDirectory()
  const { store, settled } = watchedStore(
    createDirectoryJournal({ directory, fileSystem: countingFileSystem(written) }),
  )
  const clock = new SimulatedClock()
  const volumes: { all: number; snapshots: number }[] = []
  for (let count = 500 - before; count <= 5000; count += 500) {
    const tasks = { concurrency: 64, ...(retention && { retention }) }
    await using runtime = await createRuntime({ store, clock, compactAfter: 300, tasks })
    runtime.tasks.handle('work', () => 'done')
    for (let group = 0; group < 500; group += 50) {
      await Promise.all(Array.from({ length: 50 }, async () => (await runtime.tasks.submit('work')).outcome()))
      clock.advance(1000)
      await settled()
      await new Promise((resolve) => {
        setImmediate(resolve)
      })
    }
    if (count > 0) {
      volumes.push({ all: (written.records + written.snapshots) / count, snapshots: written.snapshots / count })
    } else {
      Object.assign(written, { records: 0, snapshots: 0 })
    }
  }
  return volumes
}

describe('what is written per task', () => {
  it('[T-309] is the same after ten times the history when what has ended is forgotten', async () => {
    // Nothing is forgotten before something is, and nothing replaced.
    const volumes = await volumesWith(500, { count: 50, tombstonesForMs: 5000 })
    const [once, tenTimes] = [volumes[0], volumes.at(-1)]
    expect(once?.snapshots).toBeGreaterThan(0)
    expect((tenTimes?.all ?? Infinity) / (once?.all ?? 0)).toBeLessThanOrEqual(1.2)
  }, 60_000)

  it('[T-380] is the same after ten times the history when all of it is kept', async () => {
    const volumes = await volumesWith(0)
    const all = volumes.map((volume) => volume.all)
    expect(volumes[0]?.snapshots).toBeGreaterThan(0)
    expect((all.at(-1) ?? Infinity) / (all[0] ?? 0)).toBeLessThanOrEqual(1.2)
    // It comes in steps, with every snapshot: whichever two are compared, they are no further apart than one step.
    expect(Math.max(...all) / Math.min(...all)).toBeLessThanOrEqual(1.25)
  }, 60_000)
})
