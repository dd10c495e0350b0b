import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, expect, it, onTestFinished, vi } from 'vitest'
import { buildLibrary } from '../support/build.js'

const root = join(import.meta.dirname, '..', '..')

afterEach(() => vi.restoreAllMocks())

it('the everyday example retries, runs in order, and tells a failure for good from one to try again', async () => {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {})
  const name = 'everyday'
  await import(`../../examples/tasks/${name}.ts`)
  expect(log.mock.calls).toEqual([
    ['completed', 'a summary'],
    [2, 'attempts'],
    ['failed', 'no such page'],
  ])
})

it('the example of suspended and released runs counts on where it was, and orders a year early', async () => {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {})
  const name = 'released'
  await import(`../../examples/tasks/${name}.ts`)
  expect(log.mock.calls).toEqual([['completed'], ['completed']])
})

it('the example of definitions submits once, and says why there is no result', async () => {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {})
  const name = 'definitions'
  await import(`../../examples/tasks/${name}.ts`)
  expect(log.mock.calls).toEqual([['On cranes', 6], [true], ['threw', 'connection reset']])
})

it('the example of a feed reads what has ended while its consumer was away', async () => {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {})
  const name = 'feed'
  await import(`../../examples/tasks/${name}.ts`)
  expect(log.mock.calls).toEqual([
    ['completed', 1],
    ['completed', 1],
  ])
})

it('the report is finished by whoever starts it again after a kill, and costs what its calls cost', {
  timeout: 60_000,
}, async () => {
  const home = dirname(await buildLibrary())
  const output = await mkdtemp(join(home, 'example-tasks-'))
  const dataDir = await mkdtemp(join(tmpdir(), 'stateward-example-tasks-'))
  onTestFinished(async () => {
    await rm(output, { recursive: true })
    await rm(dataDir, { recursive: true })
  })
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const project = join(root, 'examples', 'tasks')
  await promisify(execFile)(process.execPath, [compiler, '-p', project, '--noCheck', '--outDir', output])

  const lines: string[] = []
  /** Runs the example, killed once it has said so many lines. */
  const run = async (patience: number): Promise<NodeJS.Signals | null> => {
    const child = spawn(process.execPath, [join(output, 'report.js'), dataDir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let said = ''
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString()
      if (said.split('\n').length > patience) child.kill('SIGKILL')
    })
    const [, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
    lines.push(...said.split('\n').slice(0, -1))
    return signal
  }
  expect(await run(1)).toBe('SIGKILL')
  expect(await run(1)).toBe('SIGKILL')
  expect(await run(2)).toBe('SIGKILL')
  expect(await run(Number.POSITIVE_INFINITY)).toBe(null)
  expect(lines.filter((line) => line === 'submitted')).toHaveLength(1)
  expect(lines).toContain('put together from 4 parts')
  const [, spent] = /^report completed: (\d+) of \d+ tokens$/.exec(lines.at(-1) ?? '') ?? []
  // Fifteen calls at 150 each: what was done is never done again, and what a kill cut off is paid for once.
  expect(Number(spent)).toBe(15 * 150)
})
