import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createRuntime, type Logger } from '../../src/index.js'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stateward-runtime-'))
})

afterEach(() => rm(folder, { recursive: true, force: true }))

describe('the data directory of a runtime', () => {
  it('is made with the folders above it', async () => {
    const dataDir = join(folder, 'not', 'there', 'yet')
    {
      await using runtime = await createRuntime({ dataDir })
      runtime.session('first')
    }
    await using runtime = await createRuntime({ dataDir })
    expect([...runtime.sessions()].map(({ id }) => id)).toEqual(['first'])
  })

  it('has one owner at a time', async () => {
    await using owner = await createRuntime({ dataDir: folder })
    expect(owner.health).toEqual({ status: 'open' })
    await expect(createRuntime({ dataDir: folder })).rejects.toMatchObject({
      code: 'journal_locked',
      data: { pid: process.pid },
    })
  })
})

describe('a completion cursor', () => {
  it('may run ahead of every completion, which the log mentions (D12)', async () => {
    const warnings: [object, string][] = []
    const ignore = (): void => {}
    const logger: Logger = {
      debug: ignore,
      info: ignore,
      error: ignore,
      warn: (fields, text) => warnings.push([fields, text]),
    }
    await using runtime = await createRuntime({ logger })
    const { operations } = runtime.session('cursors')
    expect(operations.advanceCompletionCursor('agent_applied', 7)).toBe(7)
    expect(warnings).toEqual([
      [{ consumer: 'agent_applied', cursor: 7, minted: 0 }, 'a cursor is ahead of every completion'],
    ])
  })
})

describe('finding a session', () => {
  it('makes none', async () => {
    await using runtime = await createRuntime()
    expect(runtime.findSession('chat')).toBeUndefined()
    const session = runtime.session('chat')
    expect(runtime.findSession('chat')).toBe(session)
    expect([...runtime.sessions()]).toEqual([session])
  })
})
