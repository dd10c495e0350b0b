import { faultFields } from './error-details.js'
import { messageOf } from './errors.js'
import { silentLogger, type Logger } from './logger.js'
import { maskFields, secretKeys, type IsSecretKey } from './mask.js'

/** Runs a callback of an observer. What it throws or rejects with is never passed on to the caller. */
export type ObserverGuard = (step: () => unknown) => void

/**
 * Creates the guard through which all code of observers is called: inspectors, listeners, subscribers, tracers. The
 * first exception is logged as an error under `message`, and none reaches the code that is observed. Later exceptions
 * are not logged, because a broken observer usually fails at every event.
 */
export function createObserverGuard(logger: Logger, message: string): ObserverGuard {
  const report = createReport(logger, message)
  return (step) => runGuarded(step, report)
}

/** Logs the first value that it is called with, and ignores the others. */
function createReport(logger: Logger, message: string): (cause: unknown) => void {
  let isReported = false
  return (cause) => {
    if (isReported) return
    isReported = true
    guardedLogger(logger).error({ ...faultFields(cause) }, message)
  }
}

/** Wraps an observer in its own guard. */
export function guardedObserver<Arguments extends readonly unknown[]>(
  observer: (...values: Arguments) => unknown,
  logger: Logger,
  message: string,
): (...values: Arguments) => void {
  const report = createReport(logger, message)
  return (...values) => {
    try {
      const answer = observer(...values)
      if (answer instanceof Promise) answer.catch(report)
    } catch (cause) {
      report(cause)
    }
  }
}

const guardedLoggers = new WeakMap<Logger, Logger>()

/**
 * Wraps a logger so that it never throws and never receives secrets. A logger that fails is reported once, as a
 * warning of the process.
 */
export function guardedLogger(logger: Logger = silentLogger): Logger {
  // The silent logger is recognised by identity, so that callers can skip preparing lines for it.
  if (logger === silentLogger) return logger
  return guardedLoggers.get(logger) ?? maskingLogger(logger, secretKeys())
}

/** Like {@link guardedLogger}, with a different definition of what is a secret. */
export function maskingLogger(logger: Logger, isSecret: IsSecretKey): Logger {
  const guarded = guardLogger(logger, isSecret)
  guardedLoggers.set(guarded, guarded)
  // Guarding the same logger again returns this guard, so that a failure of the logger is reported only once.
  if (!guardedLoggers.has(logger)) guardedLoggers.set(logger, guarded)
  return guarded
}

function guardLogger(logger: Logger, isSecret: IsSecretKey): Logger {
  let isReported = false
  const report = (cause: unknown): void => {
    if (isReported) return
    isReported = true
    process.emitWarning(`the logger of stateward threw: ${messageOf(cause)}`)
  }
  const write =
    (level: keyof Logger) =>
    (fields: object, message: string): void =>
      runGuarded(() => logger[level](maskFields(fields, isSecret), message), report)
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
}

/** An `async` observer fails later: its rejection is caught like an exception. */
function runGuarded(step: () => unknown, report: (cause: unknown) => void): void {
  try {
    const answer = step()
    if (answer instanceof Promise) answer.catch(report)
  } catch (cause) {
    report(cause)
  }
}
