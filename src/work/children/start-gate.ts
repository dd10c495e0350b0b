import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { accessSync, constants, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import type { ChildCommand } from './child-command.js'

/** A child that is there, and has yet to be let through to its program. */
export interface GatedChild {
  readonly child: ChildProcessByStdio<null, Readable, Readable>
  /** Lets it through. */
  readonly open: () => void
  readonly isGated: boolean
}

/** How a child is started. */
interface StartOptions {
  /** A file, open for reading, that is its standard input. */
  readonly input: number | 'ignore'
  /** It is let through once it is on record. */
  readonly isRecorded: boolean
}

/** What the shell of the gate calls itself when it complains. */
const gateName = 'stateward-start'
/** Becomes the program, under the same process id, once it is told a line; ends when whoever could tell it is gone. */
const gate = 'read -r go <&3 && exec "$@" 3<&-'
/** Where programs are looked for when the environment does not say. */
const defaultPath = '/usr/bin:/bin'
/** Names of variables that every shell hands on. */
const plainName = /^[A-Za-z_][A-Za-z0-9_]*$/

/**
 * Starts a program as the leader of a group of its own; if it is to be put on record, behind a gate that {@link GatedChild.open}
 * opens. One that throws its environment away, and with it its mark, can be found again by what is on record alone, so nothing of it may run
 * before that is there: when we are killed in between, the gate has nobody who could open it, and ends.
 *
 * What the shell cannot be asked for is started at once: a program that is not there, so that the system says so, and what a
 * shell would take for something else. Throws what `spawn` throws.
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
  // It may have been killed before it was let through; its end says so.
  key?.on('error', () => {})
  return { child: child as unknown as GatedChild['child'], open: () => void key?.end('go\n'), isGated: true }
}

/** True when it came through the gate and the system could not run it, which is found out only then. */
export function isGateFailure({ isGated }: GatedChild, exitCode: number | null, output: string): boolean {
  return isGated && (exitCode === 126 || exitCode === 127) && output.startsWith(`${gateName}: `)
}

/** What the shell is to become; `undefined` when it cannot be asked for that. */
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
