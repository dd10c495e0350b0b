/** Text of an answer: stacks of errors name files of the service and are for its log alone. */
export function clientJson(value: unknown): string {
  return JSON.stringify(value, withoutStack) ?? 'null'
}

/** Only what else is an error loses it: a value of the service may have a field of that name. */
function withoutStack(this: unknown, key: string, part: unknown): unknown {
  if (key !== 'stack' || typeof part !== 'string') return part
  const { name, message } = this as { readonly name?: unknown; readonly message?: unknown }
  return typeof name === 'string' && typeof message === 'string' ? undefined : part
}

/** Headers of every answer: what is under way now is nothing to keep, and JSON is nothing to guess at. */
export const commonHeaders = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' } as const
