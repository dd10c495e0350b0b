import { Cron } from 'croner'
import { messageOf } from '../base/errors.js'
import { epochMs, type Instant } from '../base/instant.js'
import { TaskError } from './errors.js'

/** Parsed expressions by text: parsing costs some twenty microseconds and a service uses few of them. */
const parsed = new Map<string, Cron>()
const parsedLimit = 1024

/**
 * Checks an expression of the seven fields `sec min hour dom month dow year`, in UTC.
 * Raises `cron_policy_error` (T-108).
 */
export function checkCron(expression: string): void {
  parse(expression)
}

/**
 * The first occurrence strictly after `after`, in epoch milliseconds, if there is one in what a date can say. `after` is a
 * `Date` or epoch milliseconds; occurrences are whole seconds. Raises `cron_policy_error`.
 */
export function nextOccurrence(expression: string, after: Instant): number | undefined {
  const cron = parse(expression)
  const from = new Date(epochMs(after))
  if (Number.isNaN(from.getTime())) return undefined
  let next: Date | null
  try {
    next = cron.nextRun(from)
  } catch (cause) {
    throw new TaskError('cron_policy_error', { message: messageOf(cause) }, { cause })
  }
  return next === null ? undefined : next.getTime()
}

function parse(expression: string): Cron {
  const known = parsed.get(expression)
  if (known !== undefined) return known
  let cron: Cron
  try {
    cron = new Cron(expression, { mode: '7-part', timezone: 'UTC', paused: true })
  } catch (cause) {
    throw new TaskError('cron_policy_error', { message: messageOf(cause) }, { cause })
  }
  if (parsed.size === parsedLimit) parsed.clear()
  parsed.set(expression, cron)
  return cron
}
