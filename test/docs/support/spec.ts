/** A page under docs/spec: the numbered behaviours of one room. */
export interface SpecRoom {
  /** Name of the page without its extension. */
  readonly page: string
  /** What its numbers begin with: `O` for `O-1`. */
  readonly letter: string
}

/** A file as the checks read it. */
export interface TextFile {
  readonly path: string
  readonly text: string
}

/** One row of a page. */
export interface Behaviour {
  readonly number: number
  readonly rule: string
  /** Files that decide it, by their paths from the root. */
  readonly decidedIn: readonly string[]
}

/** The behaviours of a page, in its order. */
export function behavioursOf({ letter }: SpecRoom, page: string): Behaviour[] {
  const row = new RegExp(`^\\| ${letter}-(\\d+) \\|(.*)\\|([^|]*)\\|$`, 'gm')
  return Array.from(page.matchAll(row), ([, number = '', rule = '', place = '']) => ({
    number: Number(number),
    rule: rule.trim(),
    decidedIn: Array.from(place.matchAll(/`([^`]+)`/g), ([, path = '']) => path),
  }))
}

/** Numbers of the room that are cited in the files, each with the first file that does so. */
export function citationsOf({ letter }: SpecRoom, files: readonly TextFile[]): Map<number, string> {
  const citations = new Map<number, string>()
  const citation = new RegExp(`(?<![\\w-])${letter}-(\\d+)(?![\\w-])`, 'g')
  for (const { path, text } of files) {
    for (const [, number = ''] of text.matchAll(citation)) {
      if (!citations.has(Number(number))) citations.set(Number(number), path)
    }
  }
  return citations
}

/** What is wrong with a page by itself: numbers that are given twice, rows that say too little. */
export function faultsOfPage(room: SpecRoom, page: string): string[] {
  const name = (number: number): string => `${room.letter}-${number}`
  const seen = new Set<number>()
  return behavioursOf(room, page).flatMap(({ number, rule, decidedIn }) => {
    const faults: string[] = []
    if (seen.has(number)) faults.push(`${name(number)} is given twice`)
    if (rule === '') faults.push(`${name(number)} has no rule`)
    if (decidedIn.length === 0) faults.push(`${name(number)} is decided nowhere`)
    seen.add(number)
    return faults
  })
}

/** Numbers that are cited but stand on no page. */
export function strangersIn(room: SpecRoom, page: string, files: readonly TextFile[]): string[] {
  const known = new Set(behavioursOf(room, page).map(({ number }) => number))
  const strangers = [...citationsOf(room, files)].filter(([number]) => !known.has(number))
  return strangers.map(([number, path]) => `${room.letter}-${number} in ${path}`)
}

/** Numbers of the page that no test cites. */
export function untestedIn(room: SpecRoom, page: string, tests: readonly TextFile[]): string[] {
  const cited = citationsOf(room, tests)
  return behavioursOf(room, page)
    .filter(({ number }) => !cited.has(number))
    .map(({ number }) => `${room.letter}-${number}`)
}
