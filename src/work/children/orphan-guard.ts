import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { identify, type ProcessMark } from './marked-processes.js'
import { programPath } from './program-path.js'

const program = programPath('reaper')

let reaper: ChildProcess | undefined

/** The mark of this name. */
export function markOf(name: string): ProcessMark {
  return { name, value: '1' }
}

/** Sees to it that nothing of a command outlives this process. */
export interface OrphanGuard extends Disposable {
  /** Names the process that the command is, which may throw its environment away, and the mark with it. */
  started(pid: number): void
}

/**
 * Until disposed, makes sure that nothing with this mark outlives this process, even if that is killed: one small process
 * waits for its end. It is started with the first mark and stays; where its program is not found, in a service that is
 * bundled into one file, there is none.
 */
export function guardMark({ name }: ProcessMark): OrphanGuard {
  tell(`+${name}\n`)
  return {
    started(pid) {
      const identity = identify(pid)
      if (identity !== undefined) tell(`+${name} ${pid} ${identity.startTime} ${identity.bootId}\n`)
    },
    [Symbol.dispose]: () => tell(`-${name}\n`),
  }
}

function tell(line: string): void {
  reaper ??= start()
  reaper?.stdin?.write(line)
}

function start(): ChildProcess | undefined {
  if (!existsSync(program)) return undefined
  const { NODE_OPTIONS: _, ...env } = process.env
  // In a session of its own: it has to outlive a kill of our whole group.
  const child = spawn(process.execPath, [program], { env, detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  const forget = (): void => {
    if (reaper === child) reaper = undefined
  }
  child.on('error', forget).on('exit', forget)
  child.stdin.on('error', forget)
  child.unref()
  if ('unref' in child.stdin) (child.stdin as { unref(): void }).unref()
  return child
}
