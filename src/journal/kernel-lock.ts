import { spawn } from 'node:child_process'

/** `busy`: another process holds the lock. `unavailable`: this system or file system does not support it. */
export type KernelLockOutcome = 'locked' | 'busy' | 'unavailable'

/**
 * Takes the exclusive lock of an open file, without waiting. A port, so that tests can replace it. The lock belongs
 * to the open file: it ends when the last process that has the file open closes it or ends in any way.
 */
export type KernelLock = (descriptor: number) => Promise<KernelLockOutcome>

/** Milliseconds after which the `flock` command is given up if it does not exit. */
const helperTimeoutMs = 10_000

/**
 * The lock of flock(2), which Node has no call for. The command `flock` of util-linux or BusyBox runs once, on the
 * inherited descriptor. It locks the open file that both processes share, so the lock outlives the command. Node
 * opens every file with `O_CLOEXEC`, so no other child process inherits it.
 */
export const flock: KernelLock = async (descriptor) => {
  if (process.platform === 'win32') return 'unavailable'
  try {
    return await runFlock(descriptor)
  } catch {
    // The command could not be started. Without the lock, ownership is decided by whether the owner's process runs.
    return 'unavailable'
  }
}

function runFlock(descriptor: number): Promise<KernelLockOutcome> {
  return new Promise((resolve, reject) => {
    const stdio = ['ignore', 'ignore', 'pipe', descriptor] as const
    const helper = spawn('flock', ['-n', '3'], { stdio: [...stdio], timeout: helperTimeoutMs })
    let hasComplained = false
    helper.stderr?.on('data', () => {
      hasComplained = true
    })
    helper.on('error', reject)
    helper.on('close', (code) => {
      if (code === 0) resolve('locked')
      // BusyBox reports other failures with the same exit code, but with a message.
      else resolve(code === 1 && !hasComplained ? 'busy' : 'unavailable')
    })
  })
}
