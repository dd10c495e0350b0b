import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import { buildLibrary } from '../support/build.js'
import { startRestateServer } from './support/server.js'

const root = join(import.meta.dirname, '..', '..')
const run = promisify(execFile)

it('the example of two workers loses no chapter with the one that is killed', async () => {
  const output = await mkdtemp(join(dirname(await buildLibrary()), 'example-restate-'))
  onTestFinished(() => rm(output, { recursive: true }))
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  await run(process.execPath, [compiler, '-p', join(root, 'examples', 'restate'), '--noCheck', '--outDir', output])
  await using server = await startRestateServer()
  const env = { ...process.env, RESTATE_INGRESS: server.ingress, RESTATE_ADMIN: server.admin }
  const { stdout } = await run(process.execPath, [join(output, 'two-workers.js')], { env })
  const lines = stdout.trim().split('\n')
  expect(lines[1]).toBe('worker one is killed')
  expect(lines.at(-1)).toBe('8 chapters, none missing, none twice')
  const titles = lines.flatMap((line) => /^\d+ (\w+), outlined by \w+, written by \w+$/.exec(line)?.[1] ?? [])
  expect(titles.toSorted()).toEqual([
    'bitterns',
    'cranes',
    'egrets',
    'herons',
    'ibises',
    'shoebills',
    'spoonbills',
    'storks',
  ])
})
