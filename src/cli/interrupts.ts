const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** What the signals to this process ask of a run. */
export interface Interrupts extends Disposable {
  /** Aborts with the first signal. */
  readonly retire: AbortSignal
  /** Aborts with the second one. */
  readonly terminate: AbortSignal
}

/**
 * Listens for Ctrl-C and the polite signals until disposed. A third one leaves at once; whatever
 * guards child processes at exit still runs then.
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
