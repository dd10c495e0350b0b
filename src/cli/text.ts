import { stripVTControlCharacters } from 'node:util'

const invisible = /^[\p{Mn}\p{Me}\p{Cf}]$/u
/** Blocks whose characters take two columns; Unicode East Asian Width, classes W and F, in broad strokes. */
const wide =
  /^[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]$/u

/** Text of a stranger on one line, without anything that a terminal would obey. */
export function plain(text: string): string {
  return stripVTControlCharacters(text)
    .replaceAll(/\p{Cc}+/gu, ' ')
    .trim()
}

/** As much of the text as fits into so many columns; what is left out is announced by an ellipsis. */
export function fit(text: string, columns: number): string {
  let used = 0
  let kept = ''
  let roomForEllipsis = ''
  for (const character of text) {
    used += widthOf(character)
    if (used > columns) return columns < 1 ? '' : `${roomForEllipsis}…`
    kept += character
    if (used < columns) roomForEllipsis = kept
  }
  return kept
}

/** The text followed by spaces up to so many columns. */
export function pad(text: string, columns: number): string {
  let width = 0
  for (const character of text) width += widthOf(character)
  return text + ' '.repeat(Math.max(0, columns - width))
}

function widthOf(character: string): number {
  if (invisible.test(character)) return 0
  return wide.test(character) ? 2 : 1
}

/** Milliseconds as people say them: `850 ms`, `1.2 s`, `3 min 5 s`. */
export function duration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`
  if (milliseconds < 60_000) return `${(Math.floor(milliseconds / 100) / 10).toFixed(1)} s`
  const seconds = Math.floor(milliseconds / 1000)
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
}

/** `1 tool`, `2 tools`. */
export function count(amount: number, noun: string): string {
  return `${amount} ${amount === 1 ? noun : noun.endsWith('s') ? `${noun}es` : `${noun}s`}`
}
