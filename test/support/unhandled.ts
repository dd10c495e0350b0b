/** Runs `work`, lets the process notice, and returns what it would have reported as unhandled rejections. */
export async function unhandledDuring(work: () => unknown): Promise<unknown[]> {
  const reasons: unknown[] = []
  const others = process.rawListeners('unhandledRejection') as NodeJS.UnhandledRejectionListener[]
  process.removeAllListeners('unhandledRejection')
  process.on('unhandledRejection', (reason) => reasons.push(reason))
  try {
    await work()
    // Node reports once the microtask queue has drained, before the next turn of the event loop.
    for (let turn = 0; turn < 2; turn++) {
      await new Promise((resolve) => {
        setImmediate(resolve)
      })
    }
  } finally {
    process.removeAllListeners('unhandledRejection')
    for (const listener of others) process.on('unhandledRejection', listener)
  }
  return reasons
}
