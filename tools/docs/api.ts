import { declarationsIn, type ApiDeclaration } from './declarations.js'
import { Exports, type Declaration } from './exports.js'

/** A way into the package. */
export interface ApiEntry {
  /** What is imported: `stateward/tasks`. */
  readonly name: string
  /** The module behind it, without an ending: `src/tasks/public`. */
  readonly module: string
}

interface Documented {
  readonly name: string
  readonly declarations: readonly ApiDeclaration[]
}

/**
 * One page per way into the package, from what the compiler declares, and an index. `read` gives the text of a source or
 * declaration file by its path. Throws when an export is declared nowhere or says nothing of itself.
 */
export function apiPages(entries: readonly ApiEntry[], read: (path: string) => string): [file: string, text: string][] {
  const modules = new Exports((file) => read(file.replace(/\.ts$/, '.d.ts')))
  /** Where a declaration is described; others refer to it. */
  const described = new Map<Declaration, string>()
  const undocumented: string[] = []
  const pages = entries.map(({ name: entry, module }): [string, string] => {
    const own: Documented[] = []
    const elsewhere: string[] = []
    for (const [name, source] of modules.of(`${module}.ts`)) {
      const before = described.get(source)
      if (before !== undefined) {
        elsewhere.push(`[${name}](${pageOf(before)}#${name.toLowerCase()})`)
        continue
      }
      const [file = '', inside = ''] = source.split('#')
      const declarations = declarationsIn(read(file.replace(/\.ts$/, '.d.ts'))).get(inside) ?? []
      if (!declarations.some(({ comment }) => comment !== '')) undocumented.push(`${entry}: ${name}`)
      described.set(source, entry)
      own.push({ name, declarations })
    }
    return [pageOf(entry), textOf(entry, own, elsewhere)]
  })
  if (undocumented.length > 0) throw new Error(`exported without a doc comment: ${undocumented.join(', ')}`)
  const index = entries.map(({ name }) => `- [\`${name}\`](${pageOf(name)})`)
  return [['README.md', `${['# API', notice, index.join('\n')].join('\n\n')}\n`], ...pages]
}

const notice = '<!-- Written by `npm run docs` from the declarations: change the doc comments, not this page. -->'

function pageOf(entry: string): string {
  return `${entry.replaceAll('/', '-')}.md`
}

function textOf(entry: string, own: readonly Documented[], elsewhere: readonly string[]): string {
  const isType = ({ declarations: [first] }: Documented): boolean => /interface|type/.test(first?.kind ?? 'type')
  const sections = [
    `# \`${entry}\``,
    notice,
    ...(elsewhere.length === 0 ? [] : [`Described elsewhere: ${elsewhere.toSorted().join(', ')}.`]),
    ...group(
      'Functions, classes and values',
      own.filter((one) => !isType(one)),
    ),
    ...group('Types', own.filter(isType)),
  ]
  return `${sections.join('\n\n')}\n`
}

function group(title: string, own: readonly Documented[]): string[] {
  const sorted = own.toSorted((one, other) => (one.name < other.name ? -1 : 1))
  return sorted.length === 0 ? [] : [`## ${title}`, ...sorted.map(sectionOf)]
}

function sectionOf({ name, declarations }: Documented): string {
  const comments = declarations.map(({ comment }) => comment).filter((comment) => comment !== '')
  const code = declarations.map((declaration) => declaration.code).join('\n')
  return [`### ${name}`, ...comments, ['```ts', code, '```'].join('\n')].join('\n\n')
}
