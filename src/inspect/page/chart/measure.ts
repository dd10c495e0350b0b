/** The metrics of the monospaced text in a drawing, in pixels. The page sets its font to the same size. */
export const text = { size: 12, column: 7.3, line: 17 }

/** The number of columns that a text takes: wide characters count two, combining ones none. */
function columnsOf(words: string): number {
  let columns = 0
  for (const character of words) {
    if (/\p{Mark}/u.test(character)) continue
    columns +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\u{1f300}-\u{1faff}]/u.test(
        character,
      )
        ? 2
        : 1
  }
  return columns
}

/** The width of the longest line. */
export function widthOf(lines: readonly string[]): number {
  return Math.ceil(lines.reduce((widest, line) => Math.max(widest, columnsOf(line)), 0) * text.column)
}

/** Cuts a text to a maximum number of characters, ending it with an ellipsis. */
export function cut(words: string, most: number): string {
  const characters = Array.from(words)
  return characters.length <= most ? words : `${characters.slice(0, most - 1).join('')}…`
}

/** Breaks a text at spaces into lines of about so many characters; longer words are cut. */
export function wrap(words: string, most: number): readonly string[] {
  const lines: string[] = []
  let line = ''
  for (const word of words.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > most) {
      lines.push(line)
      line = ''
    }
    line = line === '' ? cut(word, most) : `${line} ${word}`
  }
  return [...lines, line]
}
