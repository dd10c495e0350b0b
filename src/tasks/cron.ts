import { Cron } from 'croner'
import { messageOf } from '../base/errors.js'
import { epochMs, type Instant } from '../base/instant.js'
import { TaskError } from './errors.js'

/** A cron expression and the time zone whose wall clock it follows. */
export interface Calendar {
  /** Five fields `min hour dom month dow`, or seven: `sec min hour dom month dow year`. */
  readonly expression: string
  /** An IANA time zone such as `Europe/Berlin`. Default UTC. */
  readonly timezone?: string
}

/** Parsed expressions by zone and text. Parsing takes about twenty microseconds, and a service uses few expressions. */
const parsed = new Map<string, Cron>()
const parsedLimit = 1024

/** Fields of an expression without seconds and year. */
const shortFields = 5

/** Checks an expression and its time zone. Raises `cron_policy_error` (T-108). */
export function checkCron({ expression, timezone }: Calendar): void {
  parse(expression, timezone)
}

/**
 * The first occurrence strictly after `after`, in epoch milliseconds; `undefined` if there is none that a date can
 * hold. `after` is a `Date` or epoch milliseconds; occurrences are whole seconds. Raises `cron_policy_error`.
 *
 * In a time zone, a time skipped by the start of daylight saving occurs as soon as the clock has moved on. A time
 * repeated by its end occurs once, the first time; expressions that occur every hour or more often occur in both hours.
 */
export function nextOccurrence(expression: string, after: Instant, timezone?: string): number | undefined {
  const cron = parse(expression, timezone)
  const from = new Date(epochMs(after))
  if (Number.isNaN(from.getTime())) return undefined
  return reported(() => cron.nextRun(from))?.getTime()
}

/** The last occurrence at or before an instant, in epoch milliseconds, if there is one. Raises `cron_policy_error`. */
export function latestOccurrence({ expression, timezone }: Calendar, upTo: number): number | undefined {
  const cron = parse(expression, timezone)
  // `previousRuns` looks strictly before the instant, so pass one millisecond more.
  const before = reported(() => cron.previousRuns(1, new Date(upTo + 1)))[0]?.getTime()
  if (before === undefined) return undefined
  // Count forwards from there: the two directions may differ where the clock changes.
  let latest = before
  for (;;) {
    const next = nextOccurrence(expression, latest, timezone)
    if (next === undefined || next > upTo) return latest
    latest = next
  }
}

function parse(expression: string, timezone = 'UTC'): Cron {
  const name = `${timezone} ${expression}`
  const known = parsed.get(name)
  if (known !== undefined) return known
  const cron = reported(() => {
    // Reports an unknown time zone now rather than at the first occurrence.
    Intl.DateTimeFormat('en', { timeZone: timezone })
    const mode = expression.trim().split(/\s+/).length === shortFields ? '5-part' : '7-part'
    return new Cron(expression, { mode, timezone, paused: true })
  })
  if (parsed.size === parsedLimit) parsed.clear()
  parsed.set(name, cron)
  return cron
}

/** Turns an error of the cron library into one of ours. */
function reported<Result>(ask: () => Result): Result {
  try {
    return ask()
  } catch (cause) {
    throw new TaskError('cron_policy_error', { message: messageOf(cause) }, { cause })
  }
}
