import type { Logger } from './logger.js'

/** One line that is written in one place only: its level and text, with fields of one type. */
export interface LogLine<Fields extends object> {
  (logger: Logger, fields: Fields): void
  readonly level: keyof Logger
  readonly message: string
}

/** Defines a line; every line of the life of a service is listed in docs/observability.md. */
export function defineLine<Fields extends object>(level: keyof Logger, message: string): LogLine<Fields> {
  const write = (logger: Logger, fields: Fields): void => logger[level](fields, message)
  return Object.assign(write, { level, message })
}
