import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { onAbort } from '../../base/abort.js'
import type { Clock } from '../../base/clock.js'
import type { Deadline, DeadlineQueue } from '../../base/deadline-queue.js'
import { messageOf, StatewardError, toError } from '../../base/errors.js'
import { silence } from '../../base/promises.js'
import type { ChildCommand } from './child-command.js'
import { LineSplitter, OutputTail } from './output-lines.js'
import { isGateFailure, spawnBehindGate, type GatedChild } from './start-gate.js'
import { guardGroup, signalGroup } from './process-group.js'

/** Bytes of a child's last output that are kept for its report. */
export const outputTailBytes = 8192
/** Milliseconds between asking a child to end and killing it. */
export const defaultGraceMs = 5000

/** Where a line of output came from. */
export type OutputStream = 'stdout' | 'stderr'

/** Options of running a child process. */
export interface ChildProcessOptions {
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  /** Asks the child to end: SIGTERM, then SIGKILL once the grace period has passed. */
  readonly retiring?: AbortSignal
  /** A file descriptor, open for reading, for its standard input. Default none. */
  readonly input?: number
  /** Asks the child to end like `retiring`, but kills it at once if it has been asked before. */
  readonly signal?: AbortSignal
  /** Milliseconds between SIGTERM and SIGKILL. Default 5,000. */
  readonly graceMs?: number
  /**
   * Called with the process id, which is also the id of its group. What it records is stored before the program runs:
   * see `spawnBehindGate`.
   */
  readonly onStarted?: (pid: number) => void
  /** Called for every non-empty line of output. */
  readonly onLine?: (line: string, stream: OutputStream) => void
  /** Called with the output as it arrives. Must not throw. */
  readonly onOutput?: (bytes: Buffer, stream: OutputStream) => void
  /**
   * Called once the child has ended and its group has been killed, before the rest of its output is read. Ends
   * processes that have left the group, which may keep the pipes open.
   */
  readonly onExited?: () => Promise<unknown>
}

/** How a child ended. */
export interface ChildProcessReport {
  /** `null` if a signal ended it. */
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
  /** It exceeded its `timeoutMs`. */
  readonly timedOut: boolean
  /** One of the abort signals asked it to end. */
  readonly interrupted: boolean
  readonly durationMs: number
  /** The last bytes of both streams, as text. */
  readonly outputTail: string
  /** Number of bytes written to both streams. */
  readonly outputBytes: number
}

/** Thrown with code `child_not_started` if the system could not start the program. */
export class ChildNotStartedError extends StatewardError<
  'child_not_started',
  { readonly command: string; readonly cwd: string; readonly systemCode: string | undefined }
> {
  override readonly name = 'ChildNotStartedError'

  constructor({ command, cwd }: ChildCommand, cause: unknown) {
    const { code: systemCode } = cause as NodeJS.ErrnoException
    // The system reports a missing program and a missing folder with the same error.
    const missing = existsSync(cwd) ? 'no such program' : `no such folder: ${cwd}`
    const reason = systemCode === 'ENOENT' ? missing : messageOf(cause)
    super('child_not_started', `cannot start ${command}: ${reason}`, { command, cwd, systemCode }, { cause })
  }
}

/**
 * Runs a program as the leader of its own process group. Settles only once it has really ended and its output has
 * been read. Processes that it leaves in its group are killed when it ends. The group does not outlive this process
 * either, unless this process is killed.
 *
 * Throws `child_not_started`, the reason of a `signal` that is aborted already, and what `onStarted` throws.
 */
export async function runChildProcess(call: ChildCommand, options: ChildProcessOptions): Promise<ChildProcessReport> {
  const { clock, onStarted, onExited } = options
  options.signal?.throwIfAborted()
  const startedAt = clock.monotonicNow()
  const gated = start(call, options)
  const { child, open } = gated
  const { pid } = child
  if (pid === undefined) throw new ChildNotStartedError(call, await failureOf(child))

  const guard = guardGroup(pid)
  const ending = new Ending(pid, call.timeoutMs, options)
  try {
    const exited = once(child, 'exit')
    const closed = silence(once(child, 'close'))
    const tail = new OutputTail(outputTailBytes)
    readOutput(child, tail, options)
    let refusal: Error | undefined
    try {
      onStarted?.(pid)
      open()
    } catch (thrown) {
      refusal = toError(thrown)
      signalGroup(pid, 'SIGKILL')
    }
    const [exitCode, signal] = (await exited) as [number | null, NodeJS.Signals | null]
    ending[Symbol.dispose]()
    signalGroup(pid, 'SIGKILL')
    await onExited?.()
    await releasePipes(child, closed, options)
    if (refusal !== undefined) throw refusal
    const outputTail = tail.toString()
    if (isGateFailure(gated, exitCode, outputTail)) throw new ChildNotStartedError(call, new Error(outputTail.trim()))
    return {
      exitCode,
      signal,
      timedOut: ending.cause === 'timeout',
      interrupted: ending.cause === 'request',
      durationMs: Math.round(clock.monotonicNow() - startedAt),
      outputTail,
      outputBytes: tail.total,
    }
  } finally {
    ending[Symbol.dispose]()
    guard[Symbol.dispose]()
  }
}

/**
 * A process that has left the group may keep the pipes open for ever. They are read for the grace period, then
 * closed.
 */
async function releasePipes(
  child: GatedChild['child'],
  closed: Promise<unknown>,
  { deadlines, graceMs = defaultGraceMs }: ChildProcessOptions,
): Promise<void> {
  const release = deadlines.after(graceMs, () => {
    child.stdout.destroy()
    child.stderr.destroy()
  })
  try {
    await closed
  } finally {
    release[Symbol.dispose]()
  }
}

function start(call: ChildCommand, { input, onStarted }: ChildProcessOptions): GatedChild {
  try {
    return spawnBehindGate(call, { input: input ?? 'ignore', isRecorded: onStarted !== undefined })
  } catch (error) {
    throw new ChildNotStartedError(call, error)
  }
}

async function failureOf(child: GatedChild['child']): Promise<unknown> {
  const [error] = (await once(child, 'error')) as [unknown]
  return error
}

function readOutput(child: GatedChild['child'], tail: OutputTail, { onLine, onOutput }: ChildProcessOptions): void {
  for (const stream of ['stdout', 'stderr'] as const) {
    const lines = new LineSplitter((line) => onLine?.(line, stream))
    child[stream].on('data', (bytes: Buffer) => {
      tail.push(bytes)
      onOutput?.(bytes, stream)
      lines.push(bytes)
    })
    child[stream].on('end', () => lines.end())
  }
}

/** Ends a running group on timeout or on request, with SIGTERM first. */
class Ending implements Disposable {
  readonly #group: number
  readonly #options: ChildProcessOptions
  readonly #timeout: Deadline | undefined
  readonly #forget: readonly (() => void)[]
  #kill: Deadline | undefined
  #cause: 'timeout' | 'request' | undefined

  constructor(group: number, timeoutMs: number | undefined, options: ChildProcessOptions) {
    this.#group = group
    this.#options = options
    if (timeoutMs !== undefined) this.#timeout = options.deadlines.after(timeoutMs, () => this.#ask('timeout'))
    const { retiring, signal } = options
    this.#forget = [onAbort(signal, this.#onAbort), onAbort(retiring, () => this.#ask('request'))]
    if (retiring?.aborted === true) this.#ask('request')
  }

  /** Why the group was asked to end, if it was. */
  get cause(): 'timeout' | 'request' | undefined {
    return this.#cause
  }

  [Symbol.dispose](): void {
    this.#timeout?.[Symbol.dispose]()
    this.#kill?.[Symbol.dispose]()
    for (const forget of this.#forget) forget()
  }

  readonly #onAbort = (): void => {
    if (this.#cause === undefined) this.#ask('request')
    else signalGroup(this.#group, 'SIGKILL')
  }

  #ask(cause: 'timeout' | 'request'): void {
    if (this.#cause !== undefined) return
    this.#cause = cause
    signalGroup(this.#group, 'SIGTERM')
    const { deadlines, graceMs = defaultGraceMs } = this.#options
    this.#kill = deadlines.after(graceMs, () => signalGroup(this.#group, 'SIGKILL'))
  }
}
