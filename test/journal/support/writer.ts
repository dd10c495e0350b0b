/**
 * Appends groups to the journal of a directory until it is killed: `writer.js DIRECTORY SEED`. Says `open NEXT` once
 * it has opened the journal and `ack GROUP` for every group that was acknowledged. The seed decides about sizes, when
 * a snapshot is written, and whether and where the process kills itself in the middle of a file operation.
 */
import { writeSync } from 'node:fs'
import { createDirectoryJournal } from '../../../src/journal/directory-journal.js'
import type { FileSystem, OpenFile } from '../../../src/journal/file-system.js'
import type { Journal, JournalRecord } from '../../../src/journal/journal.js'
import { nodeFileSystem } from '../../../src/journal/node-file-system.js'

const [directory = '', seed = '0'] = process.argv.slice(2)
const say = (line: string): void => void writeSync(1, `${line}\n`)

/** Small, seeded, and good enough to spread kills (mulberry32). */
function createRandom(start: number): () => number {
  let state = start
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const random = createRandom(Number(seed))
const upTo = (limit: number): number => Math.floor(random() * limit)
const killsItself = random() < 0.6
let operationsLeft = 1 + upTo(60)

function die(): never {
  process.kill(process.pid, 'SIGKILL')
  throw new Error('still alive')
}

/** Counts down to the operation in the middle of which the process ends. */
function isLast(): boolean {
  operationsLeft -= 1
  return killsItself && operationsLeft === 0
}

async function tear(file: OpenFile, bytes: Uint8Array, position: number): Promise<never> {
  const length = upTo(bytes.length + 1)
  if (length > 0) await file.write(bytes.subarray(0, length), position)
  return die()
}

const mortal: FileSystem = {
  ...nodeFileSystem,
  async open(path, mode) {
    const file = await nodeFileSystem.open(path, mode)
    return {
      descriptor: file.descriptor,
      isAt: (path) => file.isAt(path),
      size: () => file.size(),
      read: (into, position) => file.read(into, position),
      readSync: (position, length) => file.readSync(position, length),
      write: (bytes, position) => (isLast() ? tear(file, bytes, position) : file.write(bytes, position)),
      sync: () => (isLast() ? die() : file.sync()),
      truncate: (length) => (isLast() ? die() : file.truncate(length)),
      close: () => file.close(),
    }
  },
  rename: async (from, to) => {
    if (isLast()) die()
    await nodeFileSystem.rename(from, to)
    if (isLast()) die()
  },
  unlink: (path) => (isLast() ? die() : nodeFileSystem.unlink(path)),
}

/** Records say where they stand and how large their group is; `fill` makes them differ in length. */
function nextGroup(journal: Journal): JournalRecord[] {
  const first = journal.nextSequence
  const size = 1 + upTo(5)
  return Array.from({ length: size }, (_, place) => ({
    sequence: first + place,
    first,
    size,
    fill: 'ä'.repeat(upTo(random() < 0.05 ? 20_000 : 300)),
  }))
}

async function submit(journal: Journal): Promise<void> {
  for (;;) {
    const group = nextGroup(journal)
    const last = journal.nextSequence + group.length - 1
    await journal.append(group)
    say(`ack ${last}`)
  }
}

async function compactAgain(journal: Journal): Promise<void> {
  for (;;) {
    await journal.append([])
    const through = journal.nextSequence - 1
    await journal.settled()
    await journal.compact({ through, rows: [{ through }, ...Array.from({ length: upTo(50) }, (_, row) => ({ row }))] })
  }
}

const store = createDirectoryJournal({ directory, fileSystem: mortal, segmentBytes: 64 * 1024 })
const { journal } = await store.open()
say(`open ${journal.nextSequence}`)
const work = Array.from({ length: 1 + upTo(8) }, () => submit(journal))
if (random() < 0.3) work.push(compactAgain(journal))
await Promise.all(work)
