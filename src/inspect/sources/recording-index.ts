import { InvalidInputError } from '../../base/errors.js'
import { nextTurn } from '../../base/promises.js'
import { ActorTable } from '../stream/actor-table.js'
import { decodeRecordingHeader, decodeRecordingLine } from '../stream/decode-protocol.js'
import { KnownState } from '../stream/known-state.js'
import type { MachineTable } from '../stream/machine-table.js'
import { PartTable } from '../stream/part-table.js'
import type { RecordingHeader, Sample, StreamEntry } from '../stream/protocol.js'
import { RowTable } from '../stream/row-table.js'

/** The maximum number of entries read from one recording. */
export const mostEntries = 1_000_000
/** The maximum length of a line in bytes. */
const longestLine = 1024 * 1024
/** The number of bytes per read. */
export const pieceSize = 256 * 1024
/** The position of every so many entries is remembered. */
export const entriesPerPlace = 1000
/** The maximum number of checkpoints, which save replaying from the first entry when going back in time. */
const mostCheckpoints = 8
/** The bounds of each checkpoint, whatever the recording contains. */
const rowBounds = { live: 50_000, ended: 50_000, characters: 16 * 1024 * 1024 }
const actorBounds = { live: 10_000, ended: 10_000, characters: 8 * 1024 * 1024 }
const partBounds = { parts: 5000, characters: 8 * 1024 * 1024 }
/** The maximum number of samples for plots; when there are more, every second one is dropped, repeatedly. */
const mostSamples = 600
/** The number of malformed lines after which reading stops. */
const mostBadLines = 1000

/** Where a recording is read from: a file on disk, or one opened in the page. */
export interface RecordingFile extends AsyncDisposable {
  readonly name: string
  /** Reads `many` bytes from a position; fewer at the end of the file, none behind it. */
  read(from: number, many: number): Promise<Uint8Array>
}

/** The state right after an entry. */
export interface Checkpoint {
  /** Number of the entry; 0 before the first. */
  readonly n: number
  readonly known: KnownState
}

/** A recording that has been read once: the positions of its entries, and checkpoints of the state. */
export interface RecordingIndex {
  readonly header: RecordingHeader
  /** File positions of the first entry's line, and of every thousandth after it. */
  readonly places: readonly number[]
  /** The number of entries; they are renumbered from 1. */
  readonly entryCount: number
  /** The number of bytes that were understood. */
  readonly size: number
  readonly checkpoints: readonly Checkpoint[]
  readonly end: Checkpoint
  readonly samples: readonly Sample[]
  /** What was left out, in words; absent if nothing was. */
  readonly notice?: string
}

/**
 * Reads a recording, once, in pieces between which the event loop runs; memory is bounded whatever the file contains.
 * Malformed lines are left out and counted; a recording that is too long or incomplete is cut. `onRead` is called from
 * time to time with the number of bytes read so far.
 *
 * Rejects with `invalid_input` if it is not a recording, or has another version.
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

/** A line, if it is complete and not too long; otherwise only its position. */
export interface RecordingText {
  readonly bytes: Uint8Array | undefined
  readonly position: number
}

/** The lines of a file between two positions. Control returns to the event loop after every piece. */
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
  readonly #known = new KnownState(new ActorTable(actorBounds), new RowTable(rowBounds), new PartTable(partBounds))
  readonly #places: number[] = []
  #checkpoints: Checkpoint[] = []
  /** Entries between two checkpoints; doubled whenever there are too many. */
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

  /** Takes a line; false when reading should stop. Raises `invalid_input` if the first line is not a header. */
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
      ...(this.#known.rows.dropped > 0 ? [`${this.#known.rows.dropped} items were too many to be remembered`] : []),
    ]
    return {
      header: this.#header,
      places: this.#places,
      entryCount: this.#entryCount,
      size: this.#size,
      checkpoints: this.#checkpoints,
      end: { n: this.#entryCount, known: this.#known },
      samples: this.#samples,
      ...(notices.length > 0 && { notice: notices.join('; ') }),
    }
  }

  #takeEntry(entry: StreamEntry, position: number): void {
    if (this.#entryCount % entriesPerPlace === 0) this.#places.push(position)
    this.#entryCount = entry.n
    this.#known.take(entry)
    if (entry.n % this.#stride !== 0) return
    this.#checkpoints.push({ n: entry.n, known: this.#known.copy() })
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
