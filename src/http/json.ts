/** Encodes a reply as JSON, without the stacks of errors: they name files of the service and belong in its log. */
export function clientJson(value: unknown): string {
  return JSON.stringify(value, withoutStack) ?? 'null'
}

/**
 * Drops `stack` only from objects that otherwise look like errors, because other values may have a field of that name.
 */
function withoutStack(this: unknown, key: string, part: unknown): unknown {
  if (key !== 'stack' || typeof part !== 'string') return part
  const { name, message } = this as { readonly name?: unknown; readonly message?: unknown }
  return typeof name === 'string' && typeof message === 'string' ? undefined : part
}

/** Headers of every reply: the state is not to be cached, and the content type is not to be guessed. */
export const commonHeaders = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' } as const
