import * as v from 'valibot'
import { textOf } from '../base/options.js'

/** The context of a span, as OpenTelemetry defines it: the part that is passed on. */
export interface SpanContext {
  /** 32 hexadecimal digits. */
  readonly traceId: string
  /** 16 hexadecimal digits. */
  readonly spanId: string
  /** 1: sampled. */
  readonly traceFlags: number
  readonly isRemote?: boolean
}

/** A `traceparent` of the W3C trace context, version 00, that names a trace and a span. */
const traceparentPattern = /^00-(?!0{32})([\da-f]{32})-(?!0{16})([\da-f]{16})-([\da-f]{2})$/

/** Accepts a `traceparent`. */
export const traceparentSchema = v.custom<string>(
  (input) => typeof input === 'string' && traceparentPattern.test(input),
  ({ input }) => `not a traceparent (W3C trace context): ${textOf(input)}`,
)

/**
 * Formats a context as a `traceparent`; `undefined` for an invalid context, such as that of a tracer that records
 * nothing.
 */
export function traceparentOf({ traceId, spanId, traceFlags }: SpanContext): string | undefined {
  const text = `00-${traceId}-${spanId}-${(traceFlags & 0xff).toString(16).padStart(2, '0')}`
  return traceparentPattern.test(text) ? text : undefined
}

/** Parses a `traceparent`; `undefined` for any other text. */
export function spanContextOf(traceparent: string): SpanContext | undefined {
  const [, traceId, spanId, flags] = traceparentPattern.exec(traceparent) ?? []
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true }
}
