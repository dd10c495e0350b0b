/**
 * `npm run build`: writes to dist what is published, and nothing else. Every entry point is one file, what several
 * of them use is in chunks beside them, so that an import reads a dozen files instead of hundreds; of the
 * declarations those are kept that an entry point leads to.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { build } from 'rolldown'

const compiled = 'dist-modules'
const published = 'dist'
const { exports, bin } = JSON.parse(readFileSync('package.json', 'utf8'))

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

await build({
  input: Object.fromEntries([...entryPoints, ...commands].map((module) => [module, join(compiled, `${module}.js`)])),
  // Whatever is no file of ours is installed beside us.
  external: (id) => !/^[./]/.test(id),
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
rmSync(compiled, { recursive: true })
