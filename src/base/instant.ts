import * as v from 'valibot'
import { textOf } from './options.js'

/**
 * A point in time as callers may pass it: epoch milliseconds or a `Date`. Inside the library it is always epoch
 * milliseconds.
 */
export type Instant = number | Date

/** Accepts an {@link Instant}: a whole number of epoch milliseconds from 0, or a `Date` that holds one. */
export const instantSchema = v.custom<Instant>(
  (input) => isEpochMs(input instanceof Date ? input.getTime() : input),
  ({ input }) => `not an instant in epoch milliseconds, nor a Date: ${textOf(input)}`,
)

/** The epoch milliseconds of an instant; `NaN` for an invalid `Date`, and for what is no instant. */
export function epochMs(instant: Instant): number {
  if (instant instanceof Date) return instant.getTime()
  return typeof instant === 'number' ? instant : Number.NaN
}

function isEpochMs(input: unknown): boolean {
  return Number.isSafeInteger(input) && (input as number) >= 0
}
