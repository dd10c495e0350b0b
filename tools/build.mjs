/**
 * `npm run build`: writes to dist what is published, and nothing else. Every entry point is one file, what several
 * of them use is in chunks beside them, so that an import reads a dozen files instead of hundreds; of the
 * declarations those are kept that an entry point leads to.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname, isAbsolute, join, normalize } from 'node:path'
import { build } from 'rolldown'

const compiled = 'dist-modules'
const published = 'dist'
const { exports, bin, dependencies, peerDependencies } = JSON.parse(readFileSync('package.json', 'utf8'))

/** `src/index` for `./dist/src/index.js`. */
const moduleOf = (path) =>
  normalize(path)
    .replace(/^dist\//, '')
    .replace(/(\.d\.ts|\.js)$/, '')

const entryPoints = Object.values(exports)
  .filter((target) => typeof target !== 'string')
  .map(({ types }) => moduleOf(types))
/** The command, and the part of it that says how wide a text is, which can be tried without a terminal. */
const commands = [...Object.values(bin).map(moduleOf), 'src/cli/text']
/** Programs that run in processes of their own. */
const programs = ['src/work/children/supervisor', 'src/work/children/reaper']

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

/** Packages that are used here and are no dependencies become part of our files, under their licences. */
const included = new Set()

/** Whether a module is beside us when we are installed: Node's own, and those of dependencies. */
function isInstalled(id) {
  if (/^[./]|^node_modules/.test(id) || isAbsolute(id)) return false
  const name = id.split('/', id.startsWith('@') ? 2 : 1).join('/')
  if (isBuiltin(id) || name in dependencies || name in peerDependencies) return true
  included.add(name)
  return false
}

for (const folder of [compiled, published]) rmSync(folder, { recursive: true, force: true })
execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json', '--outDir', compiled], {
  stdio: 'inherit',
})

await build({
  input: Object.fromEntries(
    [...entryPoints, ...commands, ...programs].map((module) => [module, join(compiled, `${module}.js`)]),
  ),
  external: isInstalled,
  platform: 'node',
  output: {
    dir: published,
    entryFileNames: '[name].js',
    chunkFileNames: 'chunks/[name]-[hash].js',
    // The declarations say what things are for.
    comments: { jsdoc: false },
  },
})

const declarations = new Set(entryPoints.flatMap((module) => [...declarationsOf(module)]))
for (const module of declarations) cpSync(join(compiled, `${module}.d.ts`), join(published, `${module}.d.ts`))

const licences = [...included]
  .sort((one, other) => (one < other ? -1 : 1))
  .map((name) => {
    const folder = join('node_modules', name)
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry))
    if (file === undefined) throw new Error(`${name} says no licence`)
    return `${name}\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`
  })
writeFileSync(join(published, 'LICENSES'), licences.join('\n---\n\n'))
rmSync(compiled, { recursive: true })
