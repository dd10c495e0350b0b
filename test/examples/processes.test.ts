import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import { buildLibrary } from '../support/build.js'
import { usePostgres } from '../support/postgres-server.js'

const root = join(import.meta.dirname, '..', '..')

/** Compiles the examples; the returned function runs one and resolves with the lines that it says. */
async function compileExamples(): Promise<(name: string, given: readonly string[], url?: string) => Promise<string[]>> {
  const home = dirname(await buildLibrary())
  const output = await mkdtemp(join(home, 'example-processes-'))
  onTestFinished(() => rm(output, { recursive: true }))
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const project = join(root, 'examples', 'processes')
  await promisify(execFile)(process.execPath, [compiler, '-p', project, '--noCheck', '--outDir', output])
  return async (name, given, url) => {
    const env = { ...process.env, ...(url !== undefined && { STATEWARD_PG_URL: url }) }
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [join(output, 'processes', `${name}.js`), ...given],
      { env },
    )
    return stdout.split('\n').slice(0, -1)
  }
}

it('the agent that waits for a person goes on where it was, whenever the service is started again', {
  timeout: 60_000,
}, async () => {
  const runExample = await compileExamples()
  const dataDir = await mkdtemp(join(tmpdir(), 'stateward-example-processes-'))
  onTestFinished(() => rm(dataDir, { recursive: true }))
  const run = (answer: string): Promise<string[]> => runExample('approval', [answer, dataDir])
  const question = 'May "All about cranes" be published?'
  expect(await run('')).toEqual(['drafting', question, 'waiting for a person'])
  expect(await run('')).toEqual([question, 'waiting for a person'])
  expect(await run('yes')).toEqual([question, 'https://example.com/cranes'])
  expect(await run('yes')).toEqual([question, 'https://example.com/cranes'])
})

it('of two services on one PostgreSQL the second goes on where the first was killed', {
  timeout: 60_000,
}, async () => {
  const runExample = await compileExamples()
  await using server = await usePostgres()
  const said = await runExample('two-hosts', [], server.url)
  const isChapter = (line: string): boolean => line.startsWith('chapter')
  expect(said.filter(isChapter).map((line) => line.slice(0, 9))).toEqual([1, 2, 3, 4].map((each) => `chapter ${each}`))
  expect(said[0]).toBe('chapter 1 by service one')
  expect(said).toContain('service one is killed')
  expect(said.slice(-2)).toEqual(['chapter 4 by service two', 'a book of 4 chapters'])
})
