/**
 * `npm run docs` writes one page per exported machine to docs/charts, one per entry point to docs/api, and refreshes the
 * code that other pages take from files; `npm run docs:check` writes nothing and ends with 1 when a page is out of date,
 * missing, or has lost its machine or entry point.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { StateMachine, type AnyStateMachine } from 'xstate'
import * as exported from '../../machines/index.js'
import { apiPages, type ApiEntry } from './api.js'
import { pageOf } from './page.js'
import { embedSnippets } from './snippets.js'

const charts = 'docs/charts'
const api = 'docs/api'

/** Text of every generated chart page by path. */
function chartPages(): [path: string, text: string][] {
  const values: readonly unknown[] = Object.values(exported)
  const machines = values.filter((value): value is AnyStateMachine => value instanceof StateMachine)
  machines.sort((one, other) => (one.id < other.id ? -1 : 1))
  const entries = machines.map(({ id, config: { description } }) => {
    return `- [${id}](${id}.md)${description === undefined ? '' : `: ${description}`}`
  })
  const index = [
    '# Charts',
    'Every life cycle of stateward, as exported from `stateward/machines`.',
    entries.join('\n'),
  ]
  return [
    [join(charts, 'README.md'), `${index.join('\n\n')}\n`],
    ...machines.map((machine): [string, string] => [join(charts, `${machine.id}.md`), pageOf(machine)]),
  ]
}

/** Text of every page of the API by path, from declarations that are made for it. */
function declaredPages(): [path: string, text: string][] {
  const declarations = mkdtempSync(join(tmpdir(), 'stateward-declarations-'))
  try {
    const compiler = 'node_modules/typescript/bin/tsc'
    const flags = ['-p', 'tsconfig.json', '--emitDeclarationOnly', '--outDir', declarations]
    execFileSync(process.execPath, [compiler, ...flags], { stdio: 'inherit' })
    const pages = apiPages(entryPoints(), (path) => readFileSync(join(declarations, path), 'utf8'))
    return pages.map(([file, text]) => [join(api, file), text])
  } finally {
    rmSync(declarations, { recursive: true })
  }
}

function entryPoints(): ApiEntry[] {
  const { name, exports } = JSON.parse(readFileSync('package.json', 'utf8')) as {
    name: string
    exports: Readonly<Record<string, string | { readonly types: string }>>
  }
  return Object.entries(exports).flatMap(([entry, target]) => {
    if (typeof target === 'string') return []
    const module = target.types.replace(/^\.\/dist\//, '').replace(/\.d\.ts$/, '')
    return [{ name: entry.replace('.', name), module }]
  })
}

/** Text of every page written by hand, with its embedded code as the files now have it. */
function handwrittenPages(): [path: string, text: string][] {
  const guides = pagesIn('docs').filter((path) => !path.startsWith(charts) && !path.startsWith(api))
  const read = (path: string): string => readFileSync(path, 'utf8')
  return ['README.md', ...guides].map((path) => [path, embedSnippets(read(path), read)])
}

function pagesIn(folder: string): string[] {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  return names.filter((name) => name.endsWith('.md')).map((name) => join(folder, name))
}

mkdirSync(api, { recursive: true })
const pages = new Map([...chartPages(), ...declaredPages(), ...handwrittenPages()])
const outdated = [...pages].filter(([path, text]) => !existsSync(path) || readFileSync(path, 'utf8') !== text)
const orphans = [charts, api].flatMap(pagesIn).filter((path) => !pages.has(path))

if (process.argv.includes('--check')) {
  const stale = [...outdated.map(([path]) => path), ...orphans]
  if (stale.length > 0) {
    process.stderr.write(`out of date, run npm run docs: ${stale.join(', ')}\n`)
    process.exitCode = 1
  }
} else {
  for (const [path, text] of outdated) writeFileSync(path, text)
  for (const path of orphans) rmSync(path)
}
