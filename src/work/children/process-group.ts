/** Process groups led by our children. A child and everything in its group are ended together. */

const guarded = new Set<number>()

/**
 * Sends a signal to every process of the group. Returns false if the group has no process left that may be signalled.
 */
export function signalGroup(group: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(-group, signal)
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // Some systems answer EPERM if only ended, uncollected processes are left.
    if (code === 'ESRCH' || code === 'EPERM') return false
    throw error
  }
}

/**
 * Makes sure, until disposed, that the group does not outlive this process, in whatever way this process exits except
 * by being killed.
 */
export function guardGroup(group: number): Disposable {
  if (guarded.size === 0) process.on('exit', killGuarded)
  guarded.add(group)
  return {
    [Symbol.dispose]() {
      guarded.delete(group)
      if (guarded.size === 0) process.off('exit', killGuarded)
    },
  }
}

function killGuarded(): void {
  for (const group of guarded) signalGroup(group, 'SIGKILL')
}
