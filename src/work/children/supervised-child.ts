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

/** The command that a supervisor runs. */
export interface SupervisedCommand extends ChildCommand {
  /** Every process of the child carries this mark. */
  readonly mark: ProcessMark
  /** Milliseconds between asking the child to end and killing it. */
  readonly graceMs: number
  /** Maximum number of bytes kept of each stream. */
  readonly outputLimitBytes: number
  /** Whether the child is ended when its owner is gone. */
  readonly endsWithOwner: boolean
  /** Also ends it when the owner has sent nothing for this many milliseconds: it may be frozen. */
  readonly ownerSilenceMs?: number
}

/** Milliseconds between checks whether an adopted supervisor has ended. */
const pollMs = 50

/** The supervisor program shipped with the library. */
export const supervisorProgram = programPath('supervisor')

/** Controls a child through its supervisor, which we have started or adopted. */
export interface Supervisor {
  readonly pid: number
  /** Resolves once the supervisor has ended. Rejects with the reason of the signal. */
  ended(signal: AbortSignal): Promise<void>
  /** Asks it to end its child gently. A second request kills the child. */
  askToEnd(): void
  /** Detaches from it; it continues without us. */
  leave(): void
}

/**
 * A supervisor started by this process that has not received its command yet. If it loses this process before that,
 * it runs nothing.
 *
 * Throws `child_not_started`.
 */
export class SupervisedChild implements Supervisor {
  readonly pid: number
  /** Absent if the system does not report it. */
  readonly identity: ProcessIdentity | undefined
  readonly #process: ChildProcess
  readonly #ended: Promise<unknown>

  private constructor(child: ChildProcess, pid: number) {
    this.#process = child
    this.pid = pid
    this.identity = identify(pid)
    this.#ended = silence(once(child, 'exit'))
    // It may end before it has read everything. Its exit is reported elsewhere.
    child.stdin?.on('error', () => {})
  }

  /** Starts a supervisor on its own directory, which must exist. */
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

  /** Sends the command to run. */
  begin(command: SupervisedCommand): void {
    const { stdin } = this.#process
    const { mark, env } = command
    const line = `${JSON.stringify({ ...command, env: { ...env, [mark.name]: mark.value } })}\n`
    if (command.endsWithOwner) stdin?.write(line)
    else stdin?.end(line)
  }

  /** Signals to a supervisor that ends with its owner that we are alive. */
  speak(): void {
    this.#process.stdin?.write('\n')
  }

  /** Releases it before it has received a command. */
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

/** A supervisor that another process started, recognised by pid, start time and boot. */
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
      // It has ended by itself just now.
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
