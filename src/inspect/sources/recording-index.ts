import { InvalidInputError } from '../../base/errors.js'
import { nextTurn } from '../../base/promises.js'
import { ActorTable } from '../stream/actor-table.js'
import { decodeRecordingHeader, decodeRecordingLine } from '../stream/decode-protocol.js'
import type { MachineTable } from '../stream/machine-table.js'
import type { RecordingHeader, Sample, StreamEntry } from '../stream/protocol.js'
import { RowTable } from '../stream/row-table.js'

/** Entries of one recording that are read at most. */
export const mostEntries = 1_000_000
/** Bytes of one line at most. */
const longestLine = 1024 * 1024
/** Bytes that are read at once. */
export const pieceSize = 256 * 1024
/** Entries from one place in the file that is remembered to the next. */
export const entriesPerPlace = 1000
/** States of all tables that are remembered at most, so that going back in time need not begin at the first entry. */
const mostCheckpoints = 8
/** What each of them remembers at most, whatever the recording says. */
const rowBounds = { live: 50_000, ended: 50_000, characters: 16 * 1024 * 1024 }
const actorBounds = { live: 10_000, ended: 10_000, characters: 8 * 1024 * 1024 }
/** Points of plots that are kept; of more every second one goes, again and again. */
const mostSamples = 600
/** Lines that cannot be understood, after which nobody goes on. */
const mostBadLines = 1000

/** Where a recording is read from: a file on the disk, or one that was given to the page. */
export interface RecordingFile extends AsyncDisposable {
  readonly name: string
  /** So many bytes from a position on; fewer at its end, none behind it. */
  read(from: number, many: number): Promise<Uint8Array>
}

/** How things were right after an entry. */
export interface Checkpoint {
  /** Number of the entry; 0 before the first. */
  readonly n: number
  readonly actors: ActorTable
  readonly rows: RowTable
}

/** A recording that has been read once: where its entries are, and how things stood here and there. */
export interface RecordingIndex {
  readonly header: RecordingHeader
  /** Where in the file the lines begin of the first entry, and of every thousandth after it. */
  readonly places: readonly number[]
  /** How many entries there are; they are numbered anew from 1. */
  readonly entryCount: number
  /** Bytes that were understood. */
  readonly size: number
  readonly checkpoints: readonly Checkpoint[]
  readonly end: Checkpoint
  readonly samples: readonly Sample[]
  /** What was left out, in words; absent when all was understood. */
  readonly notice?: string
}

/**
 * Reads a recording, once, in pieces between which the event loop runs; what it keeps is bounded whatever the file holds. Lines
 * that cannot be understood are left out and counted; a recording that is too long, or breaks off, is cut. `onRead` is told how many
 * bytes have been read, from time to time.
 *
 * Rejects with `invalid_input` for what is no recording, or one of another version.
 */
export async function indexRecording(
  file: RecordingFile,
  machines: MachineTable,
  signal: AbortSignal,
  onRead: (bytes: number) => void = () => {},
): Promise<RecordingIndex> {
  const reading = new Reading(machines)
  let told = 0
  for await (const { bytes, position } of linesOf(file, 0, Number.POSITIVE_INFINITY)) {
    signal.throwIfAborted()
    if (position >= told + pieceSize) onRead((told = position))
    if (!reading.take(bytes, position)) break
  }
  return reading.finish()
}

/** A line, where it is whole and not too long; otherwise only where it was. */
export interface RecordingText {
  readonly bytes: Uint8Array | undefined
  readonly position: number
}

/** The lines of a file between two positions. Every piece is followed by a turn of the event loop. */
export async function* linesOf(file: RecordingFile, from: number, to: number): AsyncGenerator<RecordingText> {
  let rest = new Uint8Array(0)
  let position = from
  let isSkipping = false
  for (let at = from; at < to; ) {
    const piece = await file.read(at, Math.min(pieceSize, to - at))
    if (piece.length === 0) break
    at += piece.length
    let start = 0
    for (let end = piece.indexOf(10); end !== -1; end = piece.indexOf(10, start)) {
      const line = rest.length === 0 ? piece.subarray(start, end) : joined(rest, piece.subarray(start, end))
      const isWhole = !isSkipping && line.length <= longestLine
      yield { bytes: isWhole ? line : undefined, position }
      isSkipping = false
      rest = new Uint8Array(0)
      start = end + 1
      position = at - piece.length + start
    }
    if (!isSkipping) rest = joined(rest, piece.subarray(start))
    if (rest.length > longestLine) {
      isSkipping = true
      rest = new Uint8Array(0)
    }
    await nextTurn()
  }
  if (rest.length > 0 || isSkipping) yield { bytes: isSkipping ? undefined : rest, position }
}

/** One pass over a recording. */
class Reading {
  readonly #machines: MachineTable
  readonly #actors = new ActorTable(actorBounds)
  readonly #rows = new RowTable(rowBounds)
  readonly #places: number[] = []
  #checkpoints: Checkpoint[] = []
  /** Entries from one checkpoint to the next; doubled whenever there are too many. */
  #stride = 10_000
  #samples: Sample[] = []
  #sampleStride = 1
  #samplesSeen = 0
  #header: RecordingHeader | undefined
  #entryCount = 0
  #bad = 0
  #size = 0
  #isCut = false

  constructor(machines: MachineTable) {
    this.#machines = machines
  }

  /** False when nothing more is to be read. Raises `invalid_input` for a first line that is no header. */
  take(bytes: Uint8Array | undefined, position: number): boolean {
    if (this.#header === undefined) {
      this.#header = decodeRecordingHeader(parsed(bytes))
      return true
    }
    try {
      const line = decodeRecordingLine(parsed(bytes))
      if (line.type === 'machine') this.#machines.add(line.machine)
      else if (line.type === 'sample') this.#takeSample(line.sample)
      else this.#takeEntry({ ...line, n: this.#entryCount + 1 }, position)
    } catch {
      this.#bad += 1
      if (this.#bad > mostBadLines) this.#isCut = true
    }
    this.#size = position + (bytes?.length ?? 0) + 1
    if (this.#entryCount >= mostEntries) this.#isCut = true
    return !this.#isCut
  }

  finish(): RecordingIndex {
    if (this.#header === undefined) throw notARecording('it is empty')
    const notices = [
      ...(this.#bad > 0 ? [`${this.#bad} lines could not be understood and are left out`] : []),
      ...(this.#isCut ? [`only the first ${this.#entryCount} entries are shown`] : []),
      ...(this.#rows.dropped > 0 ? [`${this.#rows.dropped} items were too many to be remembered`] : []),
    ]
    return {
      header: this.#header,
      places: this.#places,
      entryCount: this.#entryCount,
      size: this.#size,
      checkpoints: this.#checkpoints,
      end: { n: this.#entryCount, actors: this.#actors, rows: this.#rows },
      samples: this.#samples,
      ...(notices.length > 0 && { notice: notices.join('; ') }),
    }
  }

  #takeEntry(entry: StreamEntry, position: number): void {
    if (this.#entryCount % entriesPerPlace === 0) this.#places.push(position)
    this.#entryCount = entry.n
    this.#actors.take(entry)
    if (entry.type === 'row') this.#rows.put(entry.row)
    if (entry.n % this.#stride !== 0) return
    this.#checkpoints.push({ n: entry.n, actors: this.#actors.copy(), rows: this.#rows.copy() })
    if (this.#checkpoints.length <= mostCheckpoints) return
    this.#stride *= 2
    this.#checkpoints = this.#checkpoints.filter(({ n }) => n % this.#stride === 0)
  }

  #takeSample(sample: Sample): void {
    this.#samplesSeen += 1
    if (this.#samplesSeen % this.#sampleStride !== 0) return
    this.#samples.push(sample)
    if (this.#samples.length <= mostSamples) return
    this.#sampleStride *= 2
    this.#samples = this.#samples.filter((_, index) => index % 2 === 1)
  }
}

function joined(one: Uint8Array, other: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(one.length + other.length)
  both.set(one)
  both.set(other, one.length)
  return both
}

function parsed(bytes: Uint8Array | undefined): unknown {
  if (bytes === undefined) throw notARecording('a line is too long, or breaks off')
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw new InvalidInputError({ subject: 'recording', field: '$', reason: 'a line is not JSON' }, { cause })
  }
}

function notARecording(reason: string): InvalidInputError {
  return new InvalidInputError({ subject: 'recording', field: '$', reason })
}
