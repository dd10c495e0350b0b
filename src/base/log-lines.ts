import type { Logger } from './logger.js'

/** A log line that is written in one place of the code: its level, its text and the type of its fields. */
export interface LogLine<Fields extends object> {
  (logger: Logger, fields: Fields): void
  readonly level: keyof Logger
  readonly message: string
}

/** Defines a log line. Every line about the life of a service is listed in docs/observability.md. */
export function defineLine<Fields extends object>(level: keyof Logger, message: string): LogLine<Fields> {
  const write = (logger: Logger, fields: Fields): void => logger[level](fields, message)
  return Object.assign(write, { level, message })
}
