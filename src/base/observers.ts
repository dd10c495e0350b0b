import { messageOf } from './errors.js'
import { silentLogger, type Logger } from './logger.js'

/** Runs a step of somebody who only looks. Nothing that it throws, or rejects with, comes back. */
export type ObserverGuard = (step: () => unknown) => void

/**
 * The one way in which code of an observer is called, be it an inspector, a listener, a subscriber or a tracer: the first
 * thing that it throws is told to the logger as an error under `message`, and none is ever felt by what it looks at. An
 * observer that breaks does so at every event, so that what follows the first says nothing new.
 */
export function createObserverGuard(logger: Logger, message: string): ObserverGuard {
  let isReported = false
  const report = (cause: unknown): void => {
    if (isReported) return
    isReported = true
    guardedLogger(logger).error({ cause: messageOf(cause) }, message)
  }
  return (step) => runGuarded(step, report)
}

/** The observer behind a guard of its own; an absent one stays absent. */
export function guardedObserver<Arguments extends readonly unknown[]>(
  observer: (...values: Arguments) => unknown,
  logger: Logger,
  message: string,
): (...values: Arguments) => void {
  const guard = createObserverGuard(logger, message)
  return (...values) => guard(() => observer(...values))
}

const guardedLoggers = new WeakMap<Logger, Logger>()

/**
 * The same logger, but one that never throws: whoever has something to report goes on whatever becomes of the report.
 * Nobody is left to tell of a logger that breaks but the process, which is warned once.
 */
export function guardedLogger(logger: Logger = silentLogger): Logger {
  let guarded = guardedLoggers.get(logger)
  if (guarded === undefined) {
    guarded = guardLogger(logger)
    guardedLoggers.set(logger, guarded).set(guarded, guarded)
  }
  return guarded
}

function guardLogger(logger: Logger): Logger {
  let isReported = false
  const report = (cause: unknown): void => {
    if (isReported) return
    isReported = true
    process.emitWarning(`the logger of stateward threw: ${messageOf(cause)}`)
  }
  return {
    debug: (fields, message) => runGuarded(() => logger.debug(fields, message), report),
    info: (fields, message) => runGuarded(() => logger.info(fields, message), report),
    warn: (fields, message) => runGuarded(() => logger.warn(fields, message), report),
    error: (fields, message) => runGuarded(() => logger.error(fields, message), report),
  }
}

/** What is `async` breaks later: its rejection is as little felt as an exception. */
function runGuarded(step: () => unknown, report: (cause: unknown) => void): void {
  try {
    const answer = step()
    if (answer instanceof Promise) answer.catch(report)
  } catch (cause) {
    report(cause)
  }
}
