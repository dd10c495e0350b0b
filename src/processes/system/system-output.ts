import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import * as v from 'valibot'
import { onAbort } from '../../base/abort.js'
import type { Clock } from '../../base/clock.js'
import { decode } from '../../base/decode.js'
import { makeDirectorySync } from '../../base/make-directory.js'
import { optionsSchema, signalSchema, wholeNumberSchema } from '../../base/options.js'
import { createDeferred } from '../../base/promises.js'
import type { OutputStream } from '../../work/children/child-process.js'
import { readExitReport } from '../../work/children/exit-report.js'
import { readOutput, type OutputPart } from '../../work/children/output-segments.js'
import { takeId, type ProcessId } from '../scalars.js'
import type { ProcessStore } from '../store.js'
import { spawning } from './system-process.js'

/** Options of {@link SystemOutput}. */
export interface SystemOutputOptions {
  /** The runtime's `systemDirectory`. */
  readonly directory: string
  readonly store: Pick<ProcessStore, 'firstEventAfter' | 'getProcess' | 'getTerminal'>
  readonly clock: Clock
}

/** Where to start reading. */
export interface OutputReadOptions {
  /** A cursor returned before. Default 0, the start. */
  readonly after?: number
  /** The most bytes in one part. Default 65,536. */
  readonly maxBytes?: number
}

/** Where to start following, and a signal to stop. */
export interface OutputFollowOptions extends OutputReadOptions {
  readonly signal?: AbortSignal
}

const ownerFile = 'process'
const pollMs = 50
/** How often the files are checked for each check of the store. */
const storePolls = 20

const readSchema = optionsSchema<OutputFollowOptions>({
  after: v.optional(wholeNumberSchema(0)),
  maxBytes: v.optional(wholeNumberSchema(1)),
  signal: v.optional(signalSchema),
})

/** Output of operating system processes, on the host where they run or ran (P-230). */
export class SystemOutput {
  readonly #options: SystemOutputOptions

  constructor(options: SystemOutputOptions) {
    this.#options = { ...options, directory: resolve(options.directory) }
  }

  /**
   * The output after the cursor. Empty if there is no more yet, or none on this host. `from` is greater than the cursor
   * if the output between them was dropped. Rejects with `process.unknown`.
   */
  async read(processId: ProcessId, stream: OutputStream, options: OutputReadOptions = {}): Promise<OutputPart> {
    const { after = 0, maxBytes } = decode(readSchema, options, 'output options')
    const directory = await this.#directoryOf(takeId(processId))
    if (directory === undefined) return { bytes: Buffer.alloc(0), from: after, cursor: after }
    return readOutput(directory, stream, after, maxBytes)
  }

  /** Yields output as it is written, until the process has ended. Throws the reason of the signal. */
  async *follow(
    processId: ProcessId,
    stream: OutputStream,
    options: OutputFollowOptions = {},
  ): AsyncGenerator<OutputPart, void, undefined> {
    const { after: start = 0, maxBytes, signal } = decode(readSchema, options, 'output options')
    let after = start
    for (let poll = 0; ; poll += 1) {
      signal?.throwIfAborted()
      // Checked before the files are read, so that everything written before the end is found.
      const hasEnded = await this.#hasEnded(processId, poll)
      const part = await this.read(processId, stream, { after, ...(maxBytes !== undefined && { maxBytes }) })
      after = part.cursor
      if (part.bytes.length > 0) yield part
      else if (hasEnded) return
      else await this.#pause(signal)
    }
  }

  /** Removes the output of processes that no longer exist in the store. Resolves with their number. */
  async removePruned(): Promise<number> {
    const { directory, store } = this.#options
    let removed = 0
    for (const name of existsSync(directory) ? readdirSync(directory) : []) {
      const path = join(directory, name)
      const processId = ownerOf(path)
      if (processId === undefined || (await store.getProcess(processId)) !== undefined) continue
      rmSync(path, { recursive: true, force: true })
      removed += 1
    }
    return removed
  }

  async #directoryOf(processId: ProcessId): Promise<string | undefined> {
    const { directory, store } = this.#options
    const event = await store.firstEventAfter(processId, spawning.eventType, 0)
    return event && outputDirectoryOf(directory, spawning.read(event.payload).mark)
  }

  async #hasEnded(processId: ProcessId, poll: number): Promise<boolean> {
    const directory = await this.#directoryOf(processId)
    if (directory !== undefined && hasReport(directory)) return true
    return poll % storePolls === 0 && (await this.#options.store.getTerminal(processId)).state !== 'running'
  }

  async #pause(signal: AbortSignal | undefined): Promise<void> {
    const { clock } = this.#options
    const over = createDeferred<void>()
    const timeout = clock.setTimeout(() => over.resolve(), pollMs)
    const forget = onAbort(signal, () => over.reject(signal?.reason))
    try {
      await over.promise
    } finally {
      forget()
      clock.clearTimeout(timeout)
    }
  }
}

/** The output directory of the process with this mark. */
export function outputDirectoryOf(directory: string, mark: string): string {
  return join(directory, mark)
}

/** Creates the output directory of a process. */
export function makeOutputDirectory(directory: string, processId: ProcessId): void {
  // Recreates the parent directory too, in case it was removed.
  makeDirectorySync(directory, { mode: 0o700 })
  writeFileSync(join(directory, ownerFile), processId, { mode: 0o600 })
}

function ownerOf(directory: string): ProcessId | undefined {
  try {
    return takeId(readFileSync(join(directory, ownerFile), 'utf8'))
  } catch {
    // Not created here, or not completely: its owner is unknown, so it stays.
    return undefined
  }
}

function hasReport(directory: string): boolean {
  try {
    return readExitReport(directory) !== undefined
  } catch {
    // Whatever the report says, the program has ended.
    return true
  }
}
