import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { bundle } from '../../tools/bundle.mjs'

const root = join(import.meta.dirname, '..', '..')
const cache = join(root, 'node_modules', '.cache', 'stateward-build')
const staleMs = 24 * 60 * 60 * 1000
/** What tests import of it beside its entry points. */
const parts = [
  'src/base/clock',
  'src/base/deadline-queue',
  'src/work/children/child-process',
  'src/work/children/run-command',
]

let built: Promise<string> | undefined

/**
 * Compiles the library as it is published and returns the directory that stands for `dist`, for tests
 * that start real processes. Compiled once per state of the sources: the directory is named by their
 * content, so every worker and every later run finds it. Types are checked elsewhere.
 */
export function buildLibrary(): Promise<string> {
  built ??= build()
  return built
}

async function build(): Promise<string> {
  const home = join(cache, await hashOfSources())
  if (!(await exists(home))) {
    await mkdir(cache, { recursive: true })
    await removeStaleBuilds()
    const draft = await mkdtemp(join(cache, 'draft-'))
    const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
    const flags = ['--noCheck', '--declaration', 'false', '--declarationMap', 'false', '--sourceMap', 'false']
    const modules = join(draft, 'modules')
    await promisify(execFile)(process.execPath, [compiler, '-p', root, '--outDir', modules, ...flags])
    await bundle(modules, join(draft, 'dist'), parts)
    await rm(modules, { recursive: true })
    // Also tells Node that these are ES modules.
    await copyFile(join(root, 'package.json'), join(draft, 'package.json'))
    // Two workers may build at once; the second finds the place taken by the same content.
    await rename(draft, home).catch(() => rm(draft, { recursive: true }))
  }
  return join(home, 'dist')
}

async function hashOfSources(): Promise<string> {
  const hash = createHash('sha256')
  const files = ['package.json', 'tsconfig.json', 'tools/bundle.mjs']
  for (const folder of ['machines', 'actors', 'src']) {
    const names = await readdir(join(root, folder), { recursive: true })
    files.push(...names.filter((name) => name.endsWith('.ts')).map((name) => join(folder, name)))
  }
  for (const file of files.sort())
    hash
      .update(`${file}\0`)
      .update(await readFile(join(root, file)))
      .update('\0')
  return hash.digest('hex').slice(0, 32)
}

async function removeStaleBuilds(): Promise<void> {
  for (const name of await readdir(cache)) {
    const path = join(cache, name)
    const { mtimeMs } = await stat(path)
    if (Date.now() - mtimeMs > staleMs) await rm(path, { recursive: true, force: true })
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
