/** The text shown in place of a secret. */
export const masked = '[masked]'

/** Matches the names of fields whose values must not appear in a log. */
export const defaultSecretKeys =
  /passw(?:or)?d|passphrase|secret|token|credential|authori[sz]ation|cookie|api[-_.]?key|access[-_.]?key|private[-_.]?key/i

/** How deep fields are searched. Anything deeper is left out. */
const deepest = 8

/**
 * The name in `key: value`, `key=value` or `"key": "value"` within a text, such as an error message. A match starts
 * only at the beginning of a word, which keeps the search linear.
 */
const nameInText = /(?<![\w.-])(["']?)([\w.-]{1,64})\1\s{0,4}[:=]\s{0,4}/g

/** The value that follows such a name. */
const valueInText = /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|(?:(?:Bearer|Basic)\s)?[^\s"',;&(){}[\]]+/iy

/** The password in a URL such as `postgres://me:hunter2@host`. Every part is bounded, which keeps the search linear. */
const passwordInUrl = /(\b[a-z][a-z\d+.-]{0,30}:\/\/[^\s:/?#@]{0,256}:)[^\s/?#"']{1,1024}@/gi

/** Whether the field of this name holds a secret. */
export type IsSecretKey = (key: string) => boolean

/** Decides by a pattern. A pattern with state (`g`, `y`) is applied from the beginning every time. */
export function secretKeys(pattern: RegExp = defaultSecretKeys): IsSecretKey {
  return (key) => key.search(pattern) !== -1
}

/**
 * Returns the fields with all secrets replaced: values under the name of a secret, at any depth, and values in texts
 * such as `token=abc`. Numbers and booleans stay: a budget of tokens is not a secret. Never changes its argument, and
 * copies only the parts that contain a secret.
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
  // Class instances are left as they are: their properties are not what a logger prints.
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return value
  let copy: Record<string, unknown> | undefined
  for (const [key, item] of Object.entries(value)) {
    const shown = isSecret(key) && isText(item) ? masked : maskValue(item, isSecret, depth + 1)
    if (shown !== item) (copy ??= { ...value })[key] = shown
  }
  return copy ?? value
}

/** Whether a value can hold a secret: text, or an object that may contain text. */
function isText(value: unknown): boolean {
  return typeof value === 'string' || (typeof value === 'object' && value !== null)
}

/** Replaces the values of secrets in a text, and the passwords in URLs. */
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

/** Keeps the quotes of the value. */
function maskedLike(value: string): string {
  const [first = ''] = value
  return first === '"' || first === "'" ? `${first}${masked}${first}` : masked
}
