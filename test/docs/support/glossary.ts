import { wordsOf, type Declaration } from '../../../tools/docs/exports.js'

/** One word of the glossary. */
export interface Word {
  readonly word: string
  readonly meaning: string
  /** Public types that stand for it. */
  readonly types: readonly string[]
}

/** The glossary as the checks read it. */
export interface Glossary {
  readonly words: readonly Word[]
  /** Words, and sequences of words, that stand in no name. */
  readonly unused: readonly string[]
}

/** A way into the package, with what it exports. */
export interface EntryPoint {
  readonly name: string
  readonly exports: ReadonlyMap<string, Declaration>
}

/** Reads both kinds of tables of the page. */
export function glossaryOf(page: string): Glossary {
  const words = Array.from(
    page.matchAll(/^\| \*\*([^*]+)\*\* \|([^|]*)\|([^|]*)\|$/gm),
    ([, word = '', meaning = '', types = '']) => ({
      word,
      meaning: meaning.trim(),
      types: Array.from(types.matchAll(/`(\w+)`/g), ([, type = '']) => type),
    }),
  )
  const table = /^\| not \| but \|\n\| --- \| --- \|\n((?:\|.*\|\n?)*)/m.exec(page)?.[1] ?? ''
  const unused = Array.from(table.matchAll(/^\| ([^|]*) \|/gm), ([, list = '']) => list.split(', ')).flat()
  return { words, unused }
}

/** Names that stand for different declarations at different entry points. */
export function clashesOf(entryPoints: readonly EntryPoint[]): string[] {
  const meanings = new Map<string, Set<Declaration>>()
  for (const { exports } of entryPoints) {
    for (const [name, what] of exports) meanings.set(name, (meanings.get(name) ?? new Set()).add(what))
  }
  return [...meanings].flatMap(([name, whats]) => (whats.size > 1 ? [name] : [])).toSorted()
}

/** Names with a word that is not used, each with that word. */
export function unusedWordsIn(names: Iterable<string>, unused: readonly string[]): string[] {
  const found = [...names].flatMap((name) => {
    const words = ` ${wordsOf(name).join(' ')} `
    return unused.filter((word) => words.includes(` ${word} `)).map((word) => `${name}: ${word}`)
  })
  return found.toSorted()
}
