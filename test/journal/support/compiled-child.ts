import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const root = join(import.meta.dirname, '..', '..', '..')

/** A program as plain JavaScript: a child that is to be killed hundreds of times starts no compiler. */
export interface CompiledChild {
  /** Starts the program; its standard output is piped, its complaints are inherited. */
  start(...argumentsOfChild: readonly string[]): ChildProcess
  /** Removes the compiled files. */
  remove(): Promise<void>
}

/** Compiles a program of a folder and what it imports; `name` without its ending. */
export async function compileChild(name: string, folder = 'test/journal/support'): Promise<CompiledChild> {
  // Inside node_modules, so that packages are found from there.
  const cache = join(root, 'node_modules', '.cache')
  await mkdir(cache, { recursive: true })
  const output = await mkdtemp(join(cache, 'journal-child-'))
  await writeFile(join(output, 'package.json'), '{"type":"module"}')
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const options = ['--noCheck', '--rootDir', root, '--outDir', output, '--target', 'es2023', '--module', 'nodenext']
  const program = join(root, folder, `${name}.ts`)
  await promisify(execFile)(process.execPath, [compiler, '--ignoreConfig', ...options, '--types', 'node', program])
  return {
    start: (...argumentsOfChild) =>
      spawn(process.execPath, [join(output, folder, `${name}.js`), ...argumentsOfChild], {
        stdio: ['ignore', 'pipe', 'inherit'],
      }),
    remove: () => rm(output, { recursive: true }),
  }
}
