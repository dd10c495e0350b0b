import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { createRuntime } from '../../src/index.js'
import type { TaskId } from '../../src/tasks/index.js'
import { buildLibrary } from '../support/build.js'

const root = join(import.meta.dirname, '../..')
let compiled: string

beforeAll(async () => {
  compiled = await mkdtemp(join(dirname(await buildLibrary()), 'cookbook-'))
  const compiler = join(root, 'node_modules/typescript/bin/tsc')
  const project = join(root, 'examples/cookbook')
  await promisify(execFile)(process.execPath, [compiler, '-p', project, '--noCheck', '--outDir', compiled])
}, 60_000)
afterAll(() => rm(compiled, { recursive: true }))

/** Runs a recipe to its end and returns what it printed. */
async function print(recipe: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [join(compiled, `${recipe}.js`), ...args])
  return stdout.trim()
}

async function createDataDir(): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), 'stateward-cookbook-'))
  onTestFinished(() => rm(dataDir, { recursive: true }))
  return dataDir
}

/** Resolves with all that a process says, once that matches. */
async function said({ stdout }: ChildProcess, pattern: RegExp): Promise<string> {
  let text = ''
  for await (const chunk of stdout ?? []) {
    text += String(chunk)
    if (pattern.test(text)) return text
  }
  throw new Error(`ended without saying ${pattern}: ${text}`)
}

describe('the cookbook', () => {
  it('asks a person and goes on with the answer', async () => {
    expect(await print('approval')).toMatch(
      /^finance: approval needed for task [\da-f-]{36}\n250 euros paid, approved by Ada$/,
    )
  })

  it('stops at a budget before it is exceeded, and goes on when there is more', async () => {
    expect((await print('budgets')).split('\n')).toEqual([
      '640 of 800 spent, a chapter is waiting',
      "[ 'On cranes.', 'On herons.', 'On storks.' ]",
      '960 tokens in all',
    ])
  })

  it('schedules by the calendar, and repeats', async () => {
    expect((await print('schedules')).split('\n')).toEqual([
      'the next digest is a run of its own: scheduled 07:30',
      'missed nights run: 3',
      'from now on at 09:00',
      'polled: completed',
    ])
  })

  it('bounds what runs at a time', async () => {
    expect((await print('rates')).split('\n')).toEqual(["[ 'a', 'b', 'c', 'd', 'e', 'f' ]", '2 at a time'])
  })

  it('has nothing to recover in a new directory', async () => {
    expect(await print('recovery', await createDataDir())).toBe('')
  })

  it('lets three days pass in a test', async () => {
    expect(await print('testing')).toBe('holds')
  })

  it('traces attempts', async () => {
    expect(await print('open-telemetry')).toContain('stateward.task.id')
  })

  it('writes to the log of a service', async () => {
    const lines = (await print('pino')).split('\n').map((line) => JSON.parse(line) as object)
    expect(lines).toContainEqual(expect.objectContaining({ level: 40, part: 'stateward', kind: 'nobody home' }))
  })

  it('streams completions after the last one that a client has seen', async () => {
    const [refused, id, event, data] = (await print('sse')).split('\n')
    expect([refused, event]).toEqual(['403', 'event: completion'])
    expect(id).toMatch(/^id: 2@/)
    expect(JSON.parse(data?.slice('data: '.length) ?? '')).toMatchObject({
      displayName: 'second',
      outcome: { type: 'completed', result: { content: 'two' } },
    })
  })

  it.each(['express', 'fastify', 'hono'])('takes work with %s, and loses none of it at SIGTERM', async (framework) => {
    const dataDir = await createDataDir()
    const env = { ...process.env, PORT: '0', DATA_DIR: dataDir }
    const child = spawn(process.execPath, [join(compiled, `${framework}.js`)], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const ended = once(child, 'close')
    child.stdout.setEncoding('utf8')
    const [, port] = /port: (\d+)/.exec(await said(child, /port: \d+/)) ?? []
    const response = await fetch(`http://127.0.0.1:${port}/reports/cranes`, {
      method: 'POST',
      headers: { connection: 'close' },
    })
    expect(response.status).toBe(202)
    const { id } = (await response.json()) as { id: TaskId }
    child.kill('SIGTERM')
    expect(await ended).toEqual([0, null])
    await using runtime = await createRuntime({ dataDir })
    expect(runtime.tasks.projection.task(id)?.progress).toMatchObject({ open: 0, completed: 1 })
  })
})
