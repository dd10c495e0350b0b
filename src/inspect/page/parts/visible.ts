/**
 * Invisible characters that change how others are displayed: control characters, terminal escapes, and marks that
 * change the text direction, which can make one name look like another.
 */
// oxlint-disable-next-line no-control-regex
const invisible = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

/** Replaces them by visible ones: `␛` for an escape, `<202E>` for characters without a symbol. */
export function visible(words: string): string {
  return words.replace(invisible, (character) => {
    const code = character.charCodeAt(0)
    if (code < 0x20) return String.fromCharCode(0x2400 + code)
    return `<${code.toString(16).toUpperCase().padStart(4, '0')}>`
  })
}

/** The maximum length of a text in one place; the rest is cut off and marked. */
const longest = 20_000

function shown(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shown)
  if (typeof value !== 'string') return value
  return visible(value.length > longest ? `${value.slice(0, longest)}… (${value.length} characters)` : value)
}

/** Makes every text of an element visible, on any screen. */
export function showAll(element: { readonly type: unknown; readonly props: unknown }): void {
  if (typeof element.type !== 'string') return
  const props = element.props as Record<string, unknown>
  for (const name of ['children', 'title', 'aria-label']) {
    if (props[name] !== undefined) props[name] = shown(props[name])
  }
}
