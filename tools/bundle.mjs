/** What of compiled modules becomes files that are published; the tests that start real processes use the same. */
import { readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { isAbsolute, join, normalize } from 'node:path'
import { build } from 'rolldown'

const { exports, bin, dependencies, peerDependencies } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
)

/** `src/index` for `./dist/src/index.js`. */
const moduleOf = (path) =>
  normalize(path)
    .replace(/^dist\//, '')
    .replace(/(\.d\.ts|\.js)$/, '')

/** The modules that an import of the package can name. */
export const entryPoints = Object.values(exports)
  .filter((target) => typeof target !== 'string')
  .map(({ types }) => moduleOf(types))
/** The command, and the part of it that says how wide a text is, which can be tried without a terminal. */
const commands = [...Object.values(bin).map(moduleOf), 'src/cli/text']
/** Programs that run in processes of their own. */
const programs = ['src/work/children/supervisor', 'src/work/children/reaper']

/**
 * Bundles the compiled modules of a folder: every entry point is one file, what several of them use is in chunks beside them.
 * `more` are modules that are to be files as well. Returns the names of packages that have become part of the files.
 */
export async function bundle(compiled, output, more = []) {
  /** Packages that are used here and are no dependencies. */
  const included = new Set()

  /** Whether a module is beside us when we are installed: Node's own, and those of dependencies. */
  function isInstalled(id) {
    if (/^[./]|^node_modules/.test(id) || isAbsolute(id)) return false
    const name = id.split('/', id.startsWith('@') ? 2 : 1).join('/')
    if (isBuiltin(id) || name in dependencies || name in peerDependencies) return true
    included.add(name)
    return false
  }

  await build({
    input: Object.fromEntries(
      [...entryPoints, ...commands, ...programs, ...more].map((module) => [module, join(compiled, `${module}.js`)]),
    ),
    external: isInstalled,
    platform: 'node',
    // Each module's code is headed by where it is compiled to; where its source is says as much in fewer words.
    plugins: [
      { name: 'headings', renderChunk: (code) => code.replaceAll(new RegExp(`^// ${compiled}/`, 'gm'), '// ') },
    ],
    output: {
      dir: output,
      entryFileNames: '[name].js',
      chunkFileNames: 'chunks/[name]-[hash].js',
      // The declarations say what things are for.
      comments: { jsdoc: false },
    },
    logLevel: 'warn',
  })
  return [...included]
}
