import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '..')

/** The floors of docs/architecture.md, lowest first; folders of one floor must not import one another. */
const floors: readonly (readonly string[])[] = [
  ['src/base'],
  ['machines'],
  ['src/journal'],
  ['src/lane'],
  ['src/postgres'],
  ['src/state'],
  ['actors'],
  ['src/work'],
  ['src/operations', 'src/tasks', 'src/processes', 'src/node'],
  ['src'],
  ['src/http', 'src/testing', 'src/mcp', 'src/restate'],
  ['src/inspect'],
  ['src/create-runtime.ts'],
  ['src/index.ts', 'src/cli'],
  ['examples'],
]

interface Import {
  readonly from: string
  /** Path inside the repository for a relative import, otherwise the name of the package. */
  readonly to: string
  readonly isRelative: boolean
}

interface Place {
  readonly floor: number
  readonly folder: string
}

/** The most specific folder that holds the file. */
function placeOf(file: string): Place | undefined {
  return floors
    .flatMap((folders, floor) => folders.map((folder) => ({ floor, folder })))
    .filter(({ folder }) => file === folder || file.startsWith(`${folder}/`))
    .sort((one, other) => other.folder.length - one.folder.length)[0]
}

function isAllowed({ from, to }: Pick<Import, 'from' | 'to'>): boolean {
  const importer = placeOf(from)
  const imported = placeOf(to)
  if (importer === undefined || imported === undefined) return false
  return imported.floor < importer.floor || imported.folder === importer.folder
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), 'utf8')
  const specifiers = text.matchAll(/(?:^|[\s;}])(?:from|import)\s*\(?\s*'([^']+)'/g)
  return Array.from(specifiers, ([, specifier = '']) => {
    const isRelative = specifier.startsWith('.')
    return {
      from: file,
      to: isRelative ? normalize(join(dirname(file), specifier)).replace(/\.js$/, '.ts') : specifier,
      isRelative,
    }
  })
}

function sourceFiles(...folders: readonly string[]): string[] {
  const present = folders.filter((folder) => existsSync(join(root, folder)))
  return present.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
      .map((entry) => relative(root, join(entry.parentPath, entry.name))),
  )
}

const show = ({ from, to }: Import): string => `${from} -> ${to}`

describe('the floors', () => {
  it('are only ever imported downwards, and no room imports another', () => {
    const imports = sourceFiles('src', 'machines', 'actors').flatMap(importsOf)
    expect(imports.length).toBeGreaterThan(10)
    const forbidden = imports.filter((edge) => edge.isRelative && !isAllowed(edge))
    expect(forbidden.map(show)).toEqual([])
  })

  it.each([
    ['src/operations/registry.ts', 'src/lane/lane.ts', true],
    ['src/operations/registry.ts', 'src/operations/types.ts', true],
    ['src/runtime.ts', 'src/operations/index.ts', true],
    ['src/operations/registry.ts', 'src/tasks/types.ts', false],
    ['src/operations/registry.ts', 'src/runtime.ts', false],
    ['src/base/feed.ts', 'machines/index.ts', false],
    ['src/runtime.ts', 'src/cli/main.ts', false],
    ['src/journal/journal.ts', 'src/lane/types.ts', false],
    ['src/lane/lane.ts', 'test/helper.ts', false],
  ])('%s -> %s is allowed: %s', (from, to, allowed) => {
    expect(isAllowed({ from, to })).toBe(allowed)
  })
})

/** The circles of a graph: its strongly connected components of more than one node (Tarjan), each sorted. */
function circlesOf(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const order = new Map<string, number>()
  const low = new Map<string, number>()
  const stack: string[] = []
  const circles: string[][] = []
  const visit = (node: string): void => {
    order.set(node, order.size)
    low.set(node, order.get(node) as number)
    stack.push(node)
    for (const next of graph.get(node) ?? []) {
      if (!order.has(next)) visit(next)
      else if (!stack.includes(next)) continue
      low.set(node, Math.min(low.get(node) as number, low.get(next) as number))
    }
    if (low.get(node) !== order.get(node)) return
    const component = stack.splice(stack.indexOf(node))
    if (component.length > 1 || graph.get(node)?.includes(node) === true) circles.push(component.sort())
  }
  for (const node of graph.keys()) if (!order.has(node)) visit(node)
  return circles.sort(([one = ''], [other = '']) => (one < other ? -1 : 1))
}

describe('imports, those of types included,', () => {
  it('make no circles', () => {
    const graph = new Map(
      sourceFiles('src', 'machines', 'actors').map((file) => [
        file,
        importsOf(file).flatMap(({ to, isRelative }) => (isRelative ? [to] : [])),
      ]),
    )
    expect(circlesOf(graph)).toEqual([])
  })

  it.each([
    [{ a: ['b'], b: ['c'], c: [] }, []],
    [{ a: ['b'], b: ['c'], c: ['b'] }, [['b', 'c']]],
    [{ a: ['a'] }, [['a']]],
    [
      { a: ['b', 'c'], b: ['a'], c: ['d'], d: ['c'] },
      [
        ['a', 'b'],
        ['c', 'd'],
      ],
    ],
  ])('of %j are found', (graph, circles) => {
    expect(circlesOf(new Map(Object.entries(graph)))).toEqual(circles)
  })
})

describe('machines', () => {
  it('do no I/O: they import no module of Node', () => {
    const machines = sourceFiles('machines').flatMap(importsOf)
    expect(machines.filter(({ to }) => to.startsWith('node:')).map(show)).toEqual([])
  })
})

describe('what tests share', () => {
  it('registers no hook when it is loaded: files of one worker load it once, so only the first would have the hook', () => {
    const shared = sourceFiles('test').filter((file) => !file.endsWith('.test.ts'))
    expect(shared.length).toBeGreaterThan(50)
    const hooked = shared.filter((file) =>
      /^(?:before|after)(?:Each|All)\(/m.test(readFileSync(join(root, file), 'utf8')),
    )
    expect(hooked).toEqual([])
  })
})

describe('docs/architecture.md', () => {
  const page = readFileSync(join(root, 'docs/architecture.md'), 'utf8')

  it('names every folder of the sources, and none that is not there', () => {
    const folders = new Set(sourceFiles('src', 'machines', 'actors', 'src/inspect/page').map(dirname))
    folders.delete('src')
    expect(folders.size).toBeGreaterThan(30)
    const named = new Set(
      Array.from(page.matchAll(/`((?:src|machines|actors)(?:\/[\w-]+)*)`/g), ([, path = '']) => path),
    )
    // A folder that only holds others need not be named.
    expect([...folders].filter((folder) => !named.has(folder))).toEqual([])
    expect([...named].filter((path) => !existsSync(join(root, path)))).toEqual([])
  })

  it('shows the floors in the order in which they are held', () => {
    const [, table = ''] = /\| floor \|[^]*?\n([^]*?)\n\n/.exec(page) ?? []
    const rows = table.split('\n').filter((row) => row.startsWith('| ') && !row.startsWith('| ---'))
    const shown = rows.map((row) =>
      Array.from(row.split('|')[2]?.matchAll(/`([^`]+)`/g) ?? [], ([, path = '']) => path),
    )
    const floorsShown = shown.map((paths) => Math.min(...paths.map((path) => placeOf(path)?.floor ?? Number.NaN)))
    expect(floorsShown.length).toBe(12)
    expect(floorsShown).toEqual(floorsShown.toSorted((one, other) => other - one))
  })
})
