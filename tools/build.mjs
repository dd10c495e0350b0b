/**
 * `npm run build`: writes to dist what is published, and nothing else. Every entry point is one file, so that an import reads
 * a dozen files instead of hundreds; of the declarations those are kept that an entry point leads to.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { bundle, entryPoints } from './bundle.mjs'
import { writePageList } from './page-list.mjs'
import { buildPage } from './page.mjs'

const compiled = 'dist-modules'
const published = 'dist'

/** The declarations that a module leads to, itself included. */
function declarationsOf(module, found = new Set()) {
  if (found.has(module)) return found
  found.add(module)
  const text = readFileSync(join(compiled, `${module}.d.ts`), 'utf8')
  for (const [, target] of text.matchAll(/(?:from |import\(|import )['"](\.[^'"]+)['"]/g)) {
    declarationsOf(join(dirname(module), target).replace(/\.js$/, ''), found)
  }
  return found
}

for (const folder of [compiled, published]) rmSync(folder, { recursive: true, force: true })
execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json', '--outDir', compiled], {
  stdio: 'inherit',
})
const page = join(published, 'inspect-page')
const included = [...(await bundle(compiled, published)), ...(await buildPage(page))]

const declarations = new Set(entryPoints.flatMap((module) => [...declarationsOf(module)]))
for (const module of declarations) cpSync(join(compiled, `${module}.d.ts`), join(published, `${module}.d.ts`))

// Packages that have become part of our files, under their licences.
const licences = included
  .sort((one, other) => (one < other ? -1 : 1))
  .map((name) => {
    const folder = join('node_modules', name)
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry))
    if (file === undefined) throw new Error(`${name} says no licence`)
    return `${name}\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`
  })
writeFileSync(join(published, 'LICENSES'), licences.join('\n---\n\n'))
writePageList(page)
rmSync(compiled, { recursive: true })
