/**
 * `npm run build`: writes to dist what is published, and nothing else. Every entry point is one file, so that an import reads
 * a dozen files instead of hundreds, and so is what declares its types.
 */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bundle } from './bundle.mjs'
import { bundleDeclarations } from './declarations.mjs'
import { writePageList } from './page-list.mjs'
import { buildPage } from './page.mjs'

const compiled = 'dist-modules'
const published = 'dist'

for (const folder of [compiled, published]) rmSync(folder, { recursive: true, force: true })
execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json', '--outDir', compiled], {
  stdio: 'inherit',
})
const page = join(published, 'inspect-page')
const included = [...(await bundle(compiled, published)), ...(await buildPage(page))]

await bundleDeclarations(compiled, published)

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
