const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Turns signals to this process into requests to a run. */
export interface Interrupts extends Disposable {
  /** Aborts on the first signal. */
  readonly retire: AbortSignal
  /** Aborts on the second signal. */
  readonly terminate: AbortSignal
}

/**
 * Listens for Ctrl-C and termination signals until disposed. A third one exits at once; exit handlers that guard child
 * processes still run.
 */
export function listenForInterrupts(): Interrupts {
  const stages = [new AbortController(), new AbortController()] as const
  let next = 0
  const onSignal = (): void => {
    const stage = stages[next]
    next += 1
    if (stage === undefined) process.exit(1)
    stage.abort()
  }
  for (const signal of signals) process.on(signal, onSignal)
  return {
    retire: stages[0].signal,
    terminate: stages[1].signal,
    [Symbol.dispose]() {
      for (const signal of signals) process.off(signal, onSignal)
    },
  }
}
