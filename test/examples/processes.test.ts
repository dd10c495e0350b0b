import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import { buildLibrary } from '../support/build.js'

const root = join(import.meta.dirname, '..', '..')

it('the agent that waits for a person goes on where it was, whenever the service is started again', {
  timeout: 60_000,
}, async () => {
  const home = dirname(await buildLibrary())
  const output = await mkdtemp(join(home, 'example-processes-'))
  const dataDir = await mkdtemp(join(tmpdir(), 'stateward-example-processes-'))
  onTestFinished(async () => {
    await rm(output, { recursive: true })
    await rm(dataDir, { recursive: true })
  })
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const project = join(root, 'examples', 'processes')
  await promisify(execFile)(process.execPath, [compiler, '-p', project, '--noCheck', '--outDir', output])
  const run = async (answer: string): Promise<readonly string[]> => {
    const { stdout } = await promisify(execFile)(process.execPath, [join(output, 'approval.js'), answer, dataDir])
    return stdout.split('\n').slice(0, -1)
  }
  const question = 'May "All about cranes" be published?'
  expect(await run('')).toEqual(['drafting', question, 'waiting for a person'])
  expect(await run('')).toEqual([question, 'waiting for a person'])
  expect(await run('yes')).toEqual([question, 'https://example.com/cranes'])
  expect(await run('yes')).toEqual([question, 'https://example.com/cranes'])
})
