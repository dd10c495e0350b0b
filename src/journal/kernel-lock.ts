import { spawn } from 'node:child_process'

/** `busy`: somebody else holds it. `unavailable`: it could not be asked for, on this system or this file system. */
export type KernelLockOutcome = 'locked' | 'busy' | 'unavailable'

/**
 * Takes the exclusive lock of an open file, without waiting; a port, so that a test can do without. The lock belongs to
 * the open file and ends when the last process that has it open closes it or ends, however it ends.
 */
export type KernelLock = (descriptor: number) => Promise<KernelLockOutcome>

/** Milliseconds after which a helper that does not answer is given up. */
const helperTimeoutMs = 10_000

/**
 * The lock of flock(2), which Node cannot ask for itself: the command `flock` of util-linux or BusyBox runs once, on the
 * inherited descriptor. What it locks is the open file that both share, so the lock outlives it. Node opens every file
 * with `O_CLOEXEC`: no other child process gets hold of it.
 */
export const flock: KernelLock = async (descriptor) => {
  if (process.platform === 'win32') return 'unavailable'
  try {
    return await runFlock(descriptor)
  } catch {
    // No process could be started. Without the lock, who owns the directory is told in the stricter way.
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
      // Every other failure is told of, with the same exit code in BusyBox.
      else resolve(code === 1 && !hasComplained ? 'busy' : 'unavailable')
    })
  })
}
