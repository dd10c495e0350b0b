import { stripVTControlCharacters } from 'node:util'
import { eastAsianWidth } from 'get-east-asian-width'

/** What a terminal interprets: control characters, line separators, and bidirectional controls. */
const obeyed = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu

const clusters = new Intl.Segmenter(undefined, { granularity: 'grapheme' })
const emoji = /\p{Emoji_Presentation}|\p{Emoji}\uFE0F/u
/** Characters without a width: combining marks, invisible characters, and the later parts of a Hangul syllable. */
const takesNoColumn = /^[\p{M}\p{Default_Ignorable_Code_Point}\u1160-\u11FF\uD7B0-\uD7FF]$/u

/** Untrusted text as one line, without characters that a terminal interprets. */
export function plain(text: string): string {
  return stripVTControlCharacters(text)
    .replaceAll(/\p{Bidi_Control}+/gu, '')
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
    .trim()
}

/** A value as one line of JSON, complete, with nothing that a terminal interprets. */
export function jsonLine(value: unknown): string {
  const escape = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  return JSON.stringify(value).replaceAll(obeyed, escape)
}

/** The text cut to this many columns; an ellipsis marks a cut. */
export function fit(text: string, columns: number): string {
  let used = 0
  let kept = ''
  let roomForEllipsis = ''
  for (const { segment } of clusters.segment(text)) {
    used += widthOfCluster(segment)
    if (used > columns) return columns < 1 ? '' : `${roomForEllipsis}…`
    kept += segment
    if (used < columns) roomForEllipsis = kept
  }
  return kept
}

/** The text in lines of at most this many columns, broken between words where possible. */
export function wrap(text: string, columns: number): string[] {
  if (widthOf(text) <= columns) return [text]
  const lines: string[] = []
  let line = ''
  const push = (word: string): void => {
    const longer = line === '' ? word : `${line} ${word}`
    if (widthOf(longer) <= columns) line = longer
    else {
      if (line !== '') lines.push(line)
      line = word
    }
  }
  for (const word of text.split(' ')) for (const piece of piecesOf(word, columns)) push(piece)
  if (line !== '') lines.push(line)
  return lines
}

/** Splits a word that is too long for a line; each piece has at least one character. */
function piecesOf(word: string, columns: number): string[] {
  if (widthOf(word) <= columns) return [word]
  const pieces: string[] = []
  let piece = ''
  for (const { segment } of clusters.segment(word)) {
    if (piece !== '' && widthOf(piece + segment) > columns) {
      pieces.push(piece)
      piece = ''
    }
    piece += segment
  }
  return [...pieces, piece]
}

/** The text padded with spaces to this many columns. */
export function pad(text: string, columns: number): string {
  return text + ' '.repeat(Math.max(0, columns - widthOf(text)))
}

/** The width of the text on a terminal, in columns. */
export function widthOf(text: string): number {
  let width = 0
  for (const { segment } of clusters.segment(text)) width += widthOfCluster(segment)
  return width
}

/** One visible character may consist of many code points; as an emoji, it is two columns wide. */
function widthOfCluster(cluster: string): number {
  if (emoji.test(cluster)) return 2
  let width = 0
  for (const character of cluster) {
    if (!takesNoColumn.test(character)) width += eastAsianWidth(character.codePointAt(0) ?? 0)
  }
  return width
}

/** Milliseconds in readable form: `850 ms`, `1.2 s`, `3 min 5 s`. */
export function duration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`
  if (milliseconds < 60_000) return `${(Math.floor(milliseconds / 100) / 10).toFixed(1)} s`
  const seconds = Math.floor(milliseconds / 1000)
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
}

/** A progress bar of this many columns: `[####......]`. Takes a fraction from 0 to 1. */
export function bar(fraction: number, columns: number): string {
  const cells = Math.max(1, columns - 2)
  const full = Math.floor(Math.min(1, Math.max(0, fraction)) * cells)
  return `[${'#'.repeat(full)}${'.'.repeat(cells - full)}]`
}

/** `1 tool`, `2 tools`. */
export function count(amount: number, noun: string): string {
  return `${amount} ${amount === 1 ? noun : noun.endsWith('s') ? `${noun}es` : `${noun}s`}`
}
