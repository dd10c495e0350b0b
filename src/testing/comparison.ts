import assert from 'node:assert/strict'

/**
 * How the answers of a system are compared with its model. `whole`: everything that the model knows must be there.
 * `reported`: what the system reports must be right, and what it leaves out is ignored.
 */
export type Comparison = (typeof comparisons)[number]

/** All ways to compare. */
export const comparisons = ['whole', 'reported'] as const

/** A row in which parts may be left out, at any depth. */
export type Reported<Row> = Row extends string | number | boolean
  ? Row
  : Row extends readonly (infer Item)[]
    ? readonly Reported<Item>[]
    : Row extends object
      ? { readonly [Field in keyof Row]?: Reported<Row[Field]> | undefined }
      : Row

/** Throws an `AssertionError` unless the system's answer matches what the model expects. */
export function assertSame(actual: unknown, expected: unknown, what: string, comparison: Comparison): void {
  const isWhole = comparison === 'whole'
  try {
    assert.deepEqual(isWhole ? actual : withoutGaps(actual), isWhole ? expected : reportedPart(expected, actual))
  } catch (difference) {
    // Prefix the message instead of passing one to `deepEqual`, which would replace the diff.
    if (difference instanceof Error) difference.message = `${what}: ${difference.message}`
    throw difference
  }
}

/** The part of the expected value that the report mentions. */
function reportedPart(expected: unknown, report: unknown): unknown {
  if (Array.isArray(expected) && Array.isArray(report)) {
    if (expected.length !== report.length) return expected
    return expected.map((item, index) => reportedPart(item, report[index]))
  }
  if (!isRecord(expected) || !isRecord(report)) return expected
  const fields = Object.entries(expected).filter(([field]) => report[field] !== undefined)
  return Object.fromEntries(fields.map(([field, value]) => [field, reportedPart(value, report[field])]))
}

/** Removes fields whose value is `undefined`, because they report nothing. */
function withoutGaps(report: unknown): unknown {
  if (Array.isArray(report)) return report.map(withoutGaps)
  if (!isRecord(report)) return report
  const fields = Object.entries(report).filter(([, value]) => value !== undefined)
  return Object.fromEntries(fields.map(([field, value]) => [field, withoutGaps(value)]))
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && [Object.prototype, null].includes(Object.getPrototypeOf(value))
}
