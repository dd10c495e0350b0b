import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { onAbort } from '../../base/abort.js'
import type { Clock } from '../../base/clock.js'
import { abortable, createDeferred, silence } from '../../base/promises.js'
import type { ChildCommand } from './child-command.js'
import { ChildNotStartedError } from './child-process.js'
import { identify, isStillRunning, type ProcessIdentity, type ProcessMark } from './marked-processes.js'
import { programPath } from './program-path.js'

/** What a supervisor is told to run. */
export interface SupervisedCommand extends ChildCommand {
  /** Every process of the child bears it. */
  readonly mark: ProcessMark
  /** Milliseconds between asking the child to end and killing it. */
  readonly graceMs: number
  /** Bytes of each stream that are kept. */
  readonly outputLimitBytes: number
  /** Ends the child when its owner is gone. */
  readonly endsWithOwner: boolean
  /** The same when the owner has not spoken for so many milliseconds: it may be frozen. */
  readonly ownerSilenceMs?: number
}

/** Milliseconds between looking whether an adopted supervisor has ended. */
const pollMs = 50

/** The program that comes with the library. */
export const supervisorProgram = programPath('supervisor')

/** A supervisor, of our own or adopted: what can be done to a child from outside. */
export interface Supervisor {
  readonly pid: number
  /** Resolves once it has ended; rejects with the reason of the signal. */
  ended(signal: AbortSignal): Promise<void>
  /** Asks it to end its child, gently; asked again it kills it. */
  askToEnd(): void
  /** Lets it go on without us. */
  leave(): void
}

/**
 * A supervisor that was started here and has not been told yet what to run: gone before that, it runs nothing.
 *
 * Raises `child_not_started`.
 */
export class SupervisedChild implements Supervisor {
  readonly pid: number
  /** Absent where the system does not tell. */
  readonly identity: ProcessIdentity | undefined
  readonly #process: ChildProcess
  readonly #ended: Promise<unknown>

  private constructor(child: ChildProcess, pid: number) {
    this.#process = child
    this.pid = pid
    this.identity = identify(pid)
    this.#ended = silence(once(child, 'exit'))
    // It may be gone before it has read everything; its end says so.
    child.stdin?.on('error', () => {})
  }

  /** Starts a supervisor on a directory of its own, which is there. */
  static async start(program: string, directory: string, mark: ProcessMark): Promise<SupervisedChild> {
    const { NODE_OPTIONS: _, ...surroundings } = process.env
    const env = { ...surroundings, [mark.name]: mark.value }
    const args = [program, directory]
    const log = openSync(join(directory, 'supervisor.log'), 'a', 0o600)
    try {
      const child = spawn(process.execPath, args, {
        cwd: directory,
        env,
        detached: true,
        stdio: ['pipe', 'ignore', log],
      })
      if (child.pid !== undefined) return new SupervisedChild(child, child.pid)
      const [cause] = (await once(child, 'error')) as [unknown]
      throw new ChildNotStartedError({ command: process.execPath, args, cwd: directory, env }, cause)
    } finally {
      closeSync(log)
    }
  }

  /** Says what to run. */
  begin(command: SupervisedCommand): void {
    const { stdin } = this.#process
    const { mark, env } = command
    const line = `${JSON.stringify({ ...command, env: { ...env, [mark.name]: mark.value } })}\n`
    if (command.endsWithOwner) stdin?.write(line)
    else stdin?.end(line)
  }

  /** Says that we are there, to one that ends with its owner. */
  speak(): void {
    this.#process.stdin?.write('\n')
  }

  /** Lets it go before it was told anything. */
  withdraw(): void {
    this.#process.stdin?.end()
    this.leave()
  }

  async ended(signal: AbortSignal): Promise<void> {
    await abortable(this.#ended, signal)
  }

  askToEnd(): void {
    this.#process.kill('SIGTERM')
  }

  leave(): void {
    this.#process.unref()
    const { stdin } = this.#process
    if (stdin !== null && 'unref' in stdin) (stdin as { unref(): void }).unref()
  }
}

/** A supervisor that somebody else has started, told to be the one by pid, start time and boot. */
export class AdoptedSupervisor implements Supervisor {
  readonly #identity: ProcessIdentity
  readonly #clock: Clock

  constructor(identity: ProcessIdentity, clock: Clock) {
    this.#identity = identity
    this.#clock = clock
  }

  get pid(): number {
    return this.#identity.pid
  }

  async ended(signal: AbortSignal): Promise<void> {
    while (isStillRunning(this.#identity)) await this.#pause(signal)
  }

  askToEnd(): void {
    if (!isStillRunning(this.#identity)) return
    try {
      process.kill(this.pid, 'SIGTERM')
    } catch (error) {
      // It ended by itself in this moment.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }

  leave(): void {}

  async #pause(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const over = createDeferred<void>()
    const timeout = this.#clock.setTimeout(() => over.resolve(), pollMs)
    const forget = onAbort(signal, () => over.reject(signal.reason))
    try {
      await over.promise
    } finally {
      forget()
      this.#clock.clearTimeout(timeout)
    }
  }
}
