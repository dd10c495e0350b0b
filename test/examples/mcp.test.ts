import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import { buildLibrary } from '../support/build.js'

const root = join(import.meta.dirname, '..', '..')

it('a client follows a task across the kill of its server', { timeout: 60_000 }, async () => {
  const home = dirname(await buildLibrary())
  const output = await mkdtemp(join(home, 'example-mcp-'))
  onTestFinished(() => rm(output, { recursive: true }))
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const flags = ['-p', join(root, 'examples', 'mcp'), '--noCheck', '--outDir', output]
  await promisify(execFile)(process.execPath, [compiler, ...flags])
  const { stdout } = await promisify(execFile)(process.execPath, [join(output, 'crash.js')])
  const [handle = '', ...lines] = stdout.split('\n')
  expect(handle).toMatch(/^a handle: [\w-]{32}$/)
  expect(lines).toEqual([
    'it asks; the server is killed',
    'a new server: input_required',
    'the end: {"content":[{"type":"text","text":"600 rows of orders are exported"}],"resultType":"complete"}',
    '',
  ])
})
