import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { accessSync, constants, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import type { ChildCommand } from './child-command.js'

/** A child that has been started but still waits for its gate to be opened. */
export interface GatedChild {
  readonly child: ChildProcessByStdio<null, Readable, Readable>
  /** Lets the child run its program. */
  readonly open: () => void
  readonly isGated: boolean
}

/** Options of starting a child. */
interface StartOptions {
  /** A file descriptor, open for reading, for its standard input. */
  readonly input: number | 'ignore'
  /** Whether the child must be recorded before its program may run. */
  readonly isRecorded: boolean
}

/** The name of the gate's shell in its error messages. */
const gateName = 'stateward-start'
/**
 * Replaces itself by the program, under the same process id, once it reads a line; ends if the process that could
 * send one is gone.
 */
const gate = 'read -r go <&3 && exec "$@" 3<&-'
/** Where programs are searched if the environment has no `PATH`. */
const defaultPath = '/usr/bin:/bin'
/** Names of environment variables that every shell passes on. */
const plainName = /^[A-Za-z_][A-Za-z0-9_]*$/

/**
 * Starts a program as the leader of its own group. If it is to be recorded, it is started behind a gate that
 * {@link GatedChild.open} opens. A program that clears its environment, and its mark with it, can only be found again by its
 * record, so nothing of it may run before the record exists. If this process is killed in between, nothing can open
 * the gate, and the child ends.
 *
 * Some programs are started directly: a missing one, so that the system reports it, and calls that a shell would
 * interpret differently. Throws what `spawn` throws.
 */
export function spawnBehindGate(call: ChildCommand, { input, isRecorded }: StartOptions): GatedChild {
  const { command, args, cwd, env } = call
  const through = isRecorded ? argumentsOf(call) : undefined
  const surroundings = { cwd, env, detached: true } as const
  if (through === undefined) {
    const child = spawn(command, args, { ...surroundings, stdio: [input, 'pipe', 'pipe'] })
    return { child: child as GatedChild['child'], open() {}, isGated: false }
  }
  const child = spawn('/bin/sh', ['-c', gate, gateName, ...through], {
    ...surroundings,
    stdio: [input, 'pipe', 'pipe', 'pipe'],
  })
  const key = child.stdio[3] as Writable | undefined
  // It may have been killed before the gate was opened. Its exit is reported elsewhere.
  key?.on('error', () => {})
  return { child: child as unknown as GatedChild['child'], open: () => void key?.end('go\n'), isGated: true }
}

/** True if the gate was opened but the system could not run the program, which only shows then. */
export function isGateFailure({ isGated }: GatedChild, exitCode: number | null, output: string): boolean {
  return isGated && (exitCode === 126 || exitCode === 127) && output.startsWith(`${gateName}: `)
}

/** The arguments for the shell; `undefined` if the program has to be started directly. */
function argumentsOf(call: ChildCommand): readonly string[] | undefined {
  const { command, args, env } = call
  if (process.platform === 'win32' || command.startsWith('-') || !isRunnable(call)) return undefined
  // Shells drop these.
  const unusual = Object.entries(env).filter(([name, value]) => value !== undefined && !plainName.test(name))
  if (unusual.length === 0) return [command, ...args]
  if (command.includes('=') || !isRunnable({ ...call, command: 'env' })) return undefined
  return ['env', ...unusual.map(([name, value]) => `${name}=${value}`), command, ...args]
}

function isRunnable({ command, cwd, env }: ChildCommand): boolean {
  const folders = command.includes('/') ? [''] : (env['PATH'] ?? defaultPath).split(':')
  return folders.some((folder) => isProgram(resolve(cwd, join(folder, command))))
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}
