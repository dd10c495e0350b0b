import { execFile } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')
const installed = join(root, 'node_modules')
const run = promisify(execFile)
let place: string

/** A project of somebody else, who has installed the package as it is published, and libraries of schemas. */
beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), 'stateward-types-'))
  const home = join(place, 'node_modules', 'stateward')
  await mkdir(home, { recursive: true })
  await copyFile(join(root, 'package.json'), join(home, 'package.json'))
  await writeFile(join(place, 'package.json'), '{ "type": "module" }')
  await symlink(installed, join(home, 'node_modules'))
  for (const name of ['@types', '@ark', 'arktype', 'valibot', 'zod']) {
    await symlink(join(installed, name), join(place, 'node_modules', name))
  }
  for (const name of await readdir(join(import.meta.dirname, 'types'))) {
    await copyFile(join(import.meta.dirname, 'types', name), join(place, name))
  }
  const declarations = ['--emitDeclarationOnly', '--declarationMap', 'false', '--sourceMap', 'false']
  await tsc('typescript', ['-p', root, '--outDir', join(home, 'dist'), ...declarations])
}, 240_000)
afterAll(() => rm(place, { recursive: true }))

async function tsc(compiler: string, flags: readonly string[]): Promise<string> {
  const path = join(installed, compiler, 'bin', 'tsc')
  const failed = (failure: { readonly stdout?: string }): { readonly stdout: string } => ({
    stdout: failure.stdout ?? 'the compiler did not run',
  })
  const { stdout } = await run(process.execPath, [path, ...flags], { cwd: place }).catch(failed)
  return stdout
}

const strict = ['--noEmit', '--strict', '--skipLibCheck', 'false', '--target', 'es2022', '--module', 'nodenext']
const environment = ['--lib', 'es2023,esnext.disposable', '--types', 'node']

/** The declarations of XState do not hold `exactOptionalPropertyTypes`; whoever sets it skips the check of libraries. */
const fromXState = /[\\/]xstate[\\/]/

it.each([
  ['typescript-5.5', ['true', 'false']],
  ['typescript-5.9', ['true']],
  ['typescript-6.0', ['true']],
  ['typescript', ['true', 'false']],
])(
  'what a user of %s writes has the types it should have, and what is wrong does not compile',
  async (compiler, exactness) => {
    for (const exact of exactness) {
      const flags = [...strict, ...environment, '--exactOptionalPropertyTypes', exact]
      const output = await tsc(compiler, [...flags, 'tasks.ts', 'libraries.ts'])
      // What belongs to an error is indented below it.
      const errors = output.split('\n').filter((line) => /^\S/.test(line) && !fromXState.test(line))
      expect({ exact, errors }).toEqual({ exact, errors: [] })
    }
  },
  240_000,
)
