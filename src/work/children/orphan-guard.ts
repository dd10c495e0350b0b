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

/** Makes sure that no process of a command outlives this process. */
export interface OrphanGuard extends Disposable {
  /** Reports the command's process. It may clear its environment and lose its mark. */
  started(pid: number): void
}

/**
 * Makes sure, until disposed, that nothing with this mark outlives this process, even if this process is killed: one
 * small process waits for its end. It is started with the first mark and stays. If its program is not found, as in a
 * service that is bundled into one file, there is no such process.
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
  // In a session of its own: it must survive a kill of our whole process group.
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
