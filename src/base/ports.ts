import type { Clock } from './clock.js'
import type { IdSource } from './ids.js'
import type { Logger } from './logger.js'
import { portSchema } from './options.js'

/** Accepts a {@link Clock}. Its readings are checked when it is used. */
export const clockSchema = portSchema<Clock>(['wallNow', 'monotonicNow', 'setTimeout', 'clearTimeout'])

/** Accepts an {@link IdSource}. */
export const idSourceSchema = portSchema<IdSource>(['uuid'])

/** Accepts a {@link Logger}. */
export const loggerSchema = portSchema<Logger>(['debug', 'info', 'warn', 'error'])
