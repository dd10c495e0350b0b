/** JSON for a client: stacks of errors name files of the service and are for its log alone. */
export function clientJson(value: unknown): string {
  return JSON.stringify(value, (key, part: unknown) => (key === 'stack' ? undefined : part))
}
