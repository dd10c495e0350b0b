import { closeSync, openSync, readdirSync, readSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { OutputStream } from './child-process.js'

/**
 * The output of a child as bounded files: each stream is cut into segments of half its limit, named by the place in the
 * stream at which they begin, and the last two are kept. A place in the stream is a cursor that stays true whatever is
 * dropped.
 */

/** Part of the output of a child. */
export interface OutputPart {
  readonly bytes: Buffer
  /** Where the part begins: behind the cursor that was asked for when what lay between was dropped. */
  readonly from: number
  /** Where the next part begins. */
  readonly cursor: number
}

/** Bytes of a part unless told otherwise. */
export const defaultPartBytes = 65_536

/** Writes one stream of a child. */
export class SegmentWriter implements Disposable {
  readonly #directory: string
  readonly #stream: OutputStream
  readonly #segmentBytes: number
  #starts: number[] = []
  #descriptor: number | undefined
  #written = 0

  /** Keeps at most `limitBytes` of the stream in a directory that is there. */
  constructor(directory: string, stream: OutputStream, limitBytes: number) {
    this.#directory = directory
    this.#stream = stream
    this.#segmentBytes = Math.max(1, Math.floor(limitBytes / 2))
  }

  /** Bytes of the stream so far. */
  get total(): number {
    return this.#written
  }

  /** Raises what the file system fails with; nothing is written any more then. */
  write(bytes: Buffer): void {
    for (let done = 0; done < bytes.length; ) {
      const descriptor = this.#openSegment()
      const room = this.#segmentBytes - (this.#written - (this.#starts.at(-1) as number))
      const length = writeSync(descriptor, bytes, done, Math.min(room, bytes.length - done))
      done += length
      this.#written += length
    }
  }

  [Symbol.dispose](): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor)
    this.#descriptor = undefined
  }

  #openSegment(): number {
    const start = this.#starts.at(-1)
    if (this.#descriptor !== undefined && start !== undefined && this.#written - start < this.#segmentBytes) {
      return this.#descriptor
    }
    this[Symbol.dispose]()
    this.#descriptor = openSync(join(this.#directory, nameOf(this.#stream, this.#written)), 'wx', 0o600)
    this.#starts.push(this.#written)
    const dropped = this.#starts.length > 2 ? this.#starts.shift() : undefined
    if (dropped !== undefined) rmSync(join(this.#directory, nameOf(this.#stream, dropped)), { force: true })
    return this.#descriptor
  }
}

/** What a child has written from the cursor on, at most `maxBytes` of it; empty when there is nothing yet. */
export function readOutput(
  directory: string,
  stream: OutputStream,
  cursor: number,
  maxBytes: number = defaultPartBytes,
): OutputPart {
  for (;;) {
    const starts = startsIn(directory, stream)
    const from = Math.max(cursor, starts[0] ?? 0)
    const start = starts.findLast((one) => one <= from)
    if (start === undefined) return { bytes: Buffer.alloc(0), from: cursor, cursor }
    const bytes = readSegment(join(directory, nameOf(stream, start)), from - start, maxBytes)
    // Dropped since it was listed: what is left begins further on.
    if (bytes === undefined) continue
    if (bytes.length === 0) return { bytes, from: cursor, cursor }
    return { bytes, from, cursor: from + bytes.length }
  }
}

function nameOf(stream: OutputStream, start: number): string {
  return `${stream}.${start}`
}

function startsIn(directory: string, stream: OutputStream): number[] {
  return namesIn(directory)
    .filter((name) => name.startsWith(`${stream}.`))
    .map((name) => Number(name.slice(stream.length + 1)))
    .toSorted((one, other) => one - other)
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

function readSegment(path: string, position: number, maxBytes: number): Buffer | undefined {
  let descriptor: number
  try {
    descriptor = openSync(path, 'r')
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
  try {
    const bytes = Buffer.alloc(maxBytes)
    return bytes.subarray(0, readSync(descriptor, bytes, 0, maxBytes, position))
  } finally {
    closeSync(descriptor)
  }
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT'
}
