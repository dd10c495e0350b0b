/** What a masked value is shown as. */
export const masked = '[masked]'

/** Names of fields whose values nobody should read in a log. */
export const defaultSecretKeys =
  /passw(?:or)?d|passphrase|secret|token|credential|authori[sz]ation|cookie|api[-_.]?key|access[-_.]?key|private[-_.]?key/i

/** How deep fields are looked into; what lies deeper is left out. */
const deepest = 8

/**
 * The first half of `key: value`, `key=value` or `"key": "value"` in a text, as in messages of errors. A word begins once, so
 * that this is linear.
 */
const nameInText = /(?<![\w.-])(["']?)([\w.-]{1,64})\1\s{0,4}[:=]\s{0,4}/g

/** The other half. */
const valueInText = /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|(?:(?:Bearer|Basic)\s)?[^\s"',;&(){}[\]]+/iy

/** The password in an address such as `postgres://me:hunter2@host`; every part is bounded, so that this is linear. */
const passwordInUrl = /(\b[a-z][a-z\d+.-]{0,30}:\/\/[^\s:/?#@]{0,256}:)[^\s/?#"']{1,1024}@/gi

/** Whether the field of this name holds a secret. */
export type IsSecretKey = (key: string) => boolean

/** Decides by a pattern; one with state (`g`, `y`) is asked from its beginning every time. */
export function secretKeys(pattern: RegExp = defaultSecretKeys): IsSecretKey {
  return (key) => key.search(pattern) !== -1
}

/**
 * The same fields with whatever stands under the name of a secret replaced, at any depth, and in texts such as
 * `token=abc` too. Numbers and the like stay: a budget of tokens is none. Never changes what it is given, and copies only what
 * has a secret in it.
 */
export function maskFields(fields: object, isSecret: IsSecretKey): object {
  return maskValue(fields, isSecret, 0) as object
}

function maskValue(value: unknown, isSecret: IsSecretKey, depth: number): unknown {
  if (typeof value === 'string') return maskText(value, isSecret)
  if (typeof value !== 'object' || value === null) return value
  if (depth === deepest) return '…'
  if (Array.isArray(value)) {
    const items = value.map((item) => maskValue(item, isSecret, depth + 1))
    return items.some((item, index) => item !== value[index]) ? items : value
  }
  // An instance of a class is its own business, but for what it is printed as.
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return value
  let copy: Record<string, unknown> | undefined
  for (const [key, item] of Object.entries(value)) {
    const shown = isSecret(key) && isText(item) ? masked : maskValue(item, isSecret, depth + 1)
    if (shown !== item) (copy ??= { ...value })[key] = shown
  }
  return copy ?? value
}

/** What can hold a secret: text, or something made of texts. */
function isText(value: unknown): boolean {
  return typeof value === 'string' || (typeof value === 'object' && value !== null)
}

/** The same text with the values of secrets in it replaced, and the passwords in addresses. */
function maskText(told: string, isSecret: IsSecretKey): string {
  if (!told.includes('://') || !isSecret('password')) return maskNamed(told, isSecret)
  return maskNamed(told.replace(passwordInUrl, `$1${masked}@`), isSecret)
}

function maskNamed(text: string, isSecret: IsSecretKey): string {
  let shown = ''
  let told = 0
  for (const match of text.matchAll(nameInText)) {
    const [name, , key = ''] = match
    const start = match.index + name.length
    if (start <= told || !isSecret(key)) continue
    valueInText.lastIndex = start
    const value = valueInText.exec(text)?.[0]
    if (value === undefined || /^\d+$/.test(value)) continue
    shown += text.slice(told, start) + maskedLike(value)
    told = start + value.length
  }
  return told === 0 ? text : shown + text.slice(told)
}

/** In the quotes that it had. */
function maskedLike(value: string): string {
  const [first = ''] = value
  return first === '"' || first === "'" ? `${first}${masked}${first}` : masked
}
