import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { behavioursOf, faultsOfPage, strangersIn, untestedIn, type SpecRoom, type TextFile } from './support/spec.js'

const root = join(import.meta.dirname, '../..')

/** Every page under docs/spec. */
const rooms: readonly SpecRoom[] = [
  { page: 'operations', letter: 'O' },
  { page: 'tasks', letter: 'T' },
  { page: 'processes', letter: 'P' },
  { page: 'node', letter: 'N' },
  { page: 'mcp', letter: 'M' },
]

/** Pages whose numbers the tests cite, all of them. A page that is not here yet is still cited by older names. */
const cited: readonly string[] = ['operations', 'tasks', 'processes', 'node', 'mcp']

/** TypeScript below some folders; this check and its parts cite numbers that do not exist. */
function sourcesIn(...folders: readonly string[]): TextFile[] {
  return folders
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)),
    )
    .filter((path) => path.endsWith('.ts') && !/^test\/docs\/(support\/)?spec\b/.test(path))
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))
}

function readPage({ page }: SpecRoom): string {
  return readFileSync(join(root, 'docs/spec', `${page}.md`), 'utf8')
}

const everything = sourcesIn('src', 'machines', 'actors', 'test', 'examples', 'bench')
/** The test kit holds the invariants that its users' tests, and ours, check after every step. */
const tests = everything.filter(({ path }) => /^(test|src\/testing)\//.test(path))

it('every page under docs/spec is checked, under a letter of its own', () => {
  const pages = readdirSync(join(root, 'docs/spec')).filter((name) => name.endsWith('.md'))
  expect(rooms.map(({ page }) => `${page}.md`).toSorted()).toEqual(pages.toSorted())
  expect(new Set(rooms.map(({ letter }) => letter)).size).toBe(rooms.length)
  expect(cited.filter((name) => !rooms.some(({ page }) => page === name))).toEqual([])
})

describe.each(rooms)('docs/spec/$page.md', (room) => {
  const page = readPage(room)

  it('gives each number once, with a rule and where it is decided', () => {
    expect(behavioursOf(room, page).length).toBeGreaterThan(0)
    // A row that is no row to the check would be overlooked.
    expect(page.match(new RegExp(`^\\|\\s*${room.letter}-`, 'gm'))?.length).toBe(behavioursOf(room, page).length)
    expect(faultsOfPage(room, page)).toEqual([])
  })

  it('has every number that is cited', () => {
    expect(strangersIn(room, page, everything)).toEqual([])
  })

  it.runIf(cited.includes(room.page))('has a test for every number', () => {
    expect(untestedIn(room, page, tests)).toEqual([])
  })

  it.runIf(cited.includes(room.page))('names files that exist', () => {
    const named = new Set(behavioursOf(room, page).flatMap(({ decidedIn }) => decidedIn))
    expect([...named].filter((path) => !existsSync(join(root, path)))).toEqual([])
  })
})

describe('the check of a page', () => {
  const room: SpecRoom = { page: 'doors', letter: 'D' }
  const page = [
    '| number | rule | decided in |',
    '| --- | --- | --- |',
    '| D-1 | A door \\| gate opens. | `src/door.ts`, `src/gate.ts` |',
    '| D-2 | It closes. | `src/door.ts` |',
  ].join('\n')

  it('reads number, rule and files of a row', () => {
    expect(behavioursOf(room, page)).toEqual([
      { number: 1, rule: 'A door \\| gate opens.', decidedIn: ['src/door.ts', 'src/gate.ts'] },
      { number: 2, rule: 'It closes.', decidedIn: ['src/door.ts'] },
    ])
  })

  it('finds a number that is given twice, has no rule or is decided nowhere', () => {
    const broken = `${page}\n| D-2 |  | \`src/door.ts\` |\n| D-4 | It creaks. | nobody knows |`
    expect(faultsOfPage(room, broken)).toEqual(['D-2 is given twice', 'D-2 has no rule', 'D-4 is decided nowhere'])
  })

  it('finds a number that is cited and does not exist, and takes nothing else for one', () => {
    const files = [
      { path: 'a.ts', text: '// D-1, (D-2) and [D-7]; not AD-8, D-9a, D-10-b or MD-5' },
      { path: 'b.ts', text: '// D-7' },
    ]
    expect(strangersIn(room, page, files)).toEqual(['D-7 in a.ts'])
  })

  it('finds a number without a test', () => {
    expect(untestedIn(room, page, [{ path: 'a.test.ts', text: "it('[D-2] closes'" }])).toEqual(['D-1'])
  })
})
