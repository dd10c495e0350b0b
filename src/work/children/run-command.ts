import { randomUUID } from 'node:crypto'
import * as v from 'valibot'
import { systemClock, type Clock } from '../../base/clock.js'
import { decode } from '../../base/decode.js'
import { DeadlineQueue } from '../../base/deadline-queue.js'
import {
  durationSchema,
  functionSchema,
  nameSchema,
  optionsSchema,
  signalSchema,
  textSchema,
} from '../../base/options.js'
import { clockSchema } from '../../base/ports.js'
import { runChildProcess, type ChildProcessReport, type OutputStream } from './child-process.js'
import { killProcesses } from './marked-processes.js'
import { guardMark, markOf } from './orphan-guard.js'

/** Options of running a command. */
export interface RunCommandOptions {
  /** Default the working directory of this process. */
  readonly cwd?: string
  /** The complete environment. Default that of this process. */
  readonly env?: Readonly<NodeJS.ProcessEnv>
  /** Asks the command to end. The call then rejects once no process of it is left. */
  readonly signal?: AbortSignal
  /** Milliseconds after which it is asked to end. */
  readonly timeoutMs?: number
  /** Milliseconds between asking it to end and killing it. Default 5,000. */
  readonly graceMs?: number
  /** Called for every non-empty line of output. */
  readonly onLine?: (line: string, stream: OutputStream) => void
  readonly clock?: Clock
}

/** How a command ended. */
export type CommandReport = Omit<ChildProcessReport, 'interrupted'>

const optionsOfCommand = optionsSchema<RunCommandOptions>({
  cwd: v.optional(nameSchema),
  env: v.optional(v.custom<Readonly<NodeJS.ProcessEnv>>((input) => typeof input === 'object' && input !== null)),
  signal: v.optional(signalSchema),
  timeoutMs: v.optional(durationSchema),
  graceMs: v.optional(durationSchema),
  onLine: v.optional(functionSchema<NonNullable<RunCommandOptions['onLine']>>()),
  clock: v.optional(clockSchema),
})

/**
 * Runs a program and waits for it, for instance in the handler of a task with the task's signal. Resolves with how it
 * ended, whatever the result, once no process of it is left: processes that it started are ended with it, in whatever
 * session they run.
 *
 *     const { exitCode, outputTail } = await runCommand('git', ['fetch'], { cwd, signal })
 *
 * The command does not outlive this process, even if this process is killed, as far as the system reports processes.
 * For work that must continue or must not be forgotten, use a process: see `systemProcess`.
 *
 * Rejects with `invalid_input`, with `child_not_started`, and with the reason of the signal.
 */
export async function runCommand(
  command: string,
  args: readonly string[] = [],
  options: RunCommandOptions = {},
): Promise<CommandReport> {
  const taken = decode(optionsOfCommand, options, 'command options')
  const { cwd = process.cwd(), env = process.env, clock = systemClock, timeoutMs, signal, ...rest } = taken
  const mark = markOf(`STATEWARD_COMMAND_${randomUUID().replaceAll('-', '_')}`)
  using deadlines = new DeadlineQueue(clock)
  const call = {
    command: decode(nameSchema, command, 'command'),
    args: decode(v.array(textSchema()), args, 'arguments'),
    cwd,
    env: { ...env, [mark.name]: mark.value },
    ...(timeoutMs !== undefined && { timeoutMs }),
  }
  using guard = guardMark(mark)
  const { interrupted, ...report } = await runChildProcess(call, {
    clock,
    deadlines,
    ...(signal !== undefined && { signal }),
    ...(rest.graceMs !== undefined && { graceMs: rest.graceMs }),
    ...(rest.onLine !== undefined && { onLine: rest.onLine }),
    onStarted: (pid) => guard.started(pid),
    onExited: () => killProcesses({ mark }, clock),
  })
  if (interrupted) throw signal?.reason
  return report
}
