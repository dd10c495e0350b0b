/** Groups of processes led by a child of ours; a whole child is ended through its group. */

const guarded = new Set<number>()

/** Sends a signal to every process of the group; false when nobody is left in it that may be signalled. */
export function signalGroup(group: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(-group, signal)
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // Some systems answer EPERM where only ended, uncollected processes are left.
    if (code === 'ESRCH' || code === 'EPERM') return false
    throw error
  }
}

/** Until disposed, makes sure that the group does not outlive this process, however it exits short of being killed. */
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
