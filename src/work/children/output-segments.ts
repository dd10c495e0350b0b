import { closeSync, openSync, readdirSync, readSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { OutputStream } from './child-process.js'

/**
 * The output of a child as bounded files. Each stream is split into segments of half its limit, named by their offset
 * in the stream, and the last two are kept. An offset in the stream is a cursor that stays valid whatever is dropped.
 */

/** Part of the output of a child. */
export interface OutputPart {
  readonly bytes: Buffer
  /** Offset at which the part begins. It is beyond the requested cursor if the bytes in between have been dropped. */
  readonly from: number
  /** Offset at which the next part begins. */
  readonly cursor: number
}

/** Default maximum of bytes of a part. */
export const defaultPartBytes = 65_536

/** Writes one output stream of a child. */
export class SegmentWriter implements Disposable {
  readonly #directory: string
  readonly #stream: OutputStream
  readonly #segmentBytes: number
  #starts: number[] = []
  #descriptor: number | undefined
  #written = 0

  /** Keeps at most `limitBytes` of the stream. The directory must exist. */
  constructor(directory: string, stream: OutputStream, limitBytes: number) {
    this.#directory = directory
    this.#stream = stream
    this.#segmentBytes = Math.max(1, Math.floor(limitBytes / 2))
  }

  /** Number of bytes of the stream so far. */
  get total(): number {
    return this.#written
  }

  /** Throws errors of the file system. Nothing more is written after one. */
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

/** The output of a child from the cursor on, at most `maxBytes` of it; empty if there is none yet. */
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
    // Dropped after it was listed. The remaining output begins further on.
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
