/** Text of an answer: stacks of errors name files of the service and are for its log alone. */
export function clientJson(value: unknown): string {
  return JSON.stringify(value, (key, part: unknown) => (key === 'stack' ? undefined : part)) ?? 'null'
}

/** Headers of every answer: what is under way now is nothing to keep, and JSON is nothing to guess at. */
export const commonHeaders = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' } as const
