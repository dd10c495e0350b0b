import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { buildLibrary } from '../support/build.js'

const readme = join(import.meta.dirname, '../../README.md')

/** A folder with the first code of the README as `report.mjs`, as it stands, and the library to import. */
async function createPlace(): Promise<string> {
  const place = await mkdtemp(join(tmpdir(), 'stateward-quick-start-'))
  onTestFinished(() => rm(place, { recursive: true }))
  await mkdir(join(place, 'node_modules'))
  await symlink(dirname(await buildLibrary()), join(place, 'node_modules/stateward'))
  const [, code] = /```ts\n([^]*?)```/.exec(await readFile(readme, 'utf8')) ?? []
  if (code === undefined) throw new Error('no code in the README')
  await writeFile(join(place, 'report.mjs'), code)
  return place
}

/** Runs the program and returns its lines; killed as soon as it has said `last`. */
async function run(place: string, last?: string): Promise<readonly string[]> {
  const child = spawn(process.execPath, ['report.mjs'], { cwd: place, stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString()
    if (last !== undefined && said.includes(`${last}\n`)) child.kill('SIGKILL')
  })
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  expect({ code, signal }).toEqual(last === undefined ? { code: 0, signal: null } : { code: null, signal: 'SIGKILL' })
  return said.trim().split('\n')
}

const result = "[ 'history: 3 pages', 'method: 3 pages', 'results: 3 pages' ]"

it('the example of the README goes on where kill -9 ended it, and does no step again that is done', async () => {
  const place = await createPlace()
  const history = 'writing the history of cranes'
  const method = 'writing the method of cranes'
  expect(await run(place, method)).toEqual([history, method])
  // The step that was under way is done again, the one before it is not.
  expect(await run(place)).toEqual([method, 'writing the results of cranes', result])
  expect(await run(place)).toEqual([result])
})
