import * as v from 'valibot'
import { longestDurationMs, textOf, wholeNumberSchema } from '../base/options.js'

/** The maximum length of a daemon's or participant's name, in characters. */
export const longestName = 256

/** The maximum length of text for people, in characters. */
export const longestText = 65_536

/** Accepts text for people. */
export const textSchema = v.custom<string>(
  (input) => typeof input === 'string' && input.length <= longestText,
  ({ input }) => `not text of at most ${longestText} characters: ${textOf(input)}`,
)

/** Accepts a name; it may be empty if it is not known. */
export const labelSchema = v.custom<string>(
  (input) => typeof input === 'string' && input.length <= longestName,
  ({ input }) => `not text of at most ${longestName} characters: ${textOf(input)}`,
)

/** Accepts an instant of the monotonic clock; negative before the start of the clock. */
export const monotonicSchema = v.custom<number>(
  (input) => typeof input === 'number' && Number.isFinite(input),
  ({ input }) => `not an instant of a monotonic clock: ${textOf(input)}`,
)

/** Accepts a duration that is signed or stored: whole milliseconds, so that it has only one encoding. */
export const wholeDurationSchema = wholeNumberSchema(0, longestDurationMs)

/** Accepts an instant in epoch milliseconds, a sequence number from 0, or a size in bytes. */
export const naturalSchema = wholeNumberSchema(0)

/** Accepts a sequence number from 1. */
export const positiveSchema = wholeNumberSchema(1)

/** Accepts a 32-bit count. */
export const countSchema = wholeNumberSchema(0, 0xffff_ffff)

/** Accepts a fraction from 0 to 1. */
export const fractionSchema = v.custom<number>(
  (input) => typeof input === 'number' && input >= 0 && input <= 1,
  ({ input }) => `not a fraction from 0 to 1: ${textOf(input)}`,
)

/** The milliseconds from one instant to another, never negative. */
export function msSince(earlier: number, later: number): number {
  return Math.max(0, later - earlier)
}

/** The milliseconds until an instant, never negative. */
export function msUntil(later: number, now: number): number {
  return Math.max(0, later - now)
}
