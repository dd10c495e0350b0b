import { faultFields } from './error-details.js'
import { messageOf } from './errors.js'
import { silentLogger, type Logger } from './logger.js'
import { maskFields, secretKeys, type IsSecretKey } from './mask.js'

/** Runs a step of somebody who only looks. Nothing that it throws, or rejects with, comes back. */
export type ObserverGuard = (step: () => unknown) => void

/**
 * The one way in which code of an observer is called, be it an inspector, a listener, a subscriber or a tracer: the first
 * thing that it throws is told to the logger as an error under `message`, and none is ever felt by what it looks at. An
 * observer that breaks does so at every event, so that what follows the first says nothing new.
 */
export function createObserverGuard(logger: Logger, message: string): ObserverGuard {
  const report = createReport(logger, message)
  return (step) => runGuarded(step, report)
}

/** Tells the logger of the first thing that it is given. */
function createReport(logger: Logger, message: string): (cause: unknown) => void {
  let isReported = false
  return (cause) => {
    if (isReported) return
    isReported = true
    guardedLogger(logger).error({ ...faultFields(cause) }, message)
  }
}

/** The observer behind a guard of its own; an absent one stays absent. */
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
 * The same logger, but one that never throws and is told no secrets: whoever has something to report goes on whatever
 * becomes of the report. Nobody is left to tell of a logger that breaks but the process, which is warned once.
 */
export function guardedLogger(logger: Logger = silentLogger): Logger {
  // One that says nothing stays known as such, so that nobody makes lines for it.
  if (logger === silentLogger) return logger
  return guardedLoggers.get(logger) ?? maskingLogger(logger, secretKeys())
}

/** The same with another idea of what is a secret. */
export function maskingLogger(logger: Logger, isSecret: IsSecretKey): Logger {
  const guarded = guardLogger(logger, isSecret)
  guardedLoggers.set(guarded, guarded)
  // Asked for once more, the same logger says once that it breaks.
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

/** What is `async` breaks later: its rejection is as little felt as an exception. */
function runGuarded(step: () => unknown, report: (cause: unknown) => void): void {
  try {
    const answer = step()
    if (answer instanceof Promise) answer.catch(report)
  } catch (cause) {
    report(cause)
  }
}
