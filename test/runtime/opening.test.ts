import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createMemoryJournal, createRuntime, type Logger } from '../../src/index.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'

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

describe('what opening a runtime found', () => {
  const dataDir = (): string => join(folder, 'journal')
  const log = (): string => join(dataDir(), 'journal-0000000000000001.log')

  beforeEach(async () => {
    await using runtime = await createRuntime({ dataDir: dataDir() })
    for (const name of ['a', 'b']) {
      await runtime.session('s').run({ kind: 'background_tool_op', displayName: name }, () => name).outcome
    }
  })

  /** The last record rots. */
  async function rot(): Promise<void> {
    const bytes = await readFile(log())
    const last = bytes.findLastIndex((byte) => byte !== 0)
    bytes.writeUInt8(bytes.readUInt8(last - 4) ^ 1, last - 4)
    await writeFile(log(), bytes)
  }

  it('is nothing, as a rule', async () => {
    await using runtime = await createRuntime({ dataDir: dataDir() })
    expect(runtime.recovery).toEqual({})
    await using inMemory = await createRuntime()
    expect(inMemory.recovery).toEqual({})
  })

  it('is refused when an acknowledged end is damaged', async () => {
    await rot()
    await expect(createRuntime({ dataDir: dataDir() })).rejects.toMatchObject({
      code: 'journal_corrupt',
      data: { file: log(), reason: 'crc_mismatch' },
    })
  })

  it('is told where the damage is cut because the caller says so', async () => {
    await rot()
    const before = await readFile(log())
    await using runtime = await createRuntime({ dataDir: dataDir(), onDamage: 'cut' })
    const { cut } = runtime.recovery
    expect(cut).toMatchObject({ cause: 'damage', file: log(), reason: 'crc_mismatch', keptIn: expect.any(String) })
    const kept = await readFile(cut?.keptIn ?? '')
    expect(before.subarray(cut?.offset, (cut?.offset ?? 0) + kept.length).equals(kept)).toBe(true)
    expect(Object.isFrozen(cut)).toBe(true)
    const { entries } = runtime.session('s').feed.since(0)
    expect(entries.map(({ displayName }) => displayName)).toEqual(['a'])
  })
})

describe('the options of a data directory', () => {
  it('can wait for its owner', async () => {
    const owner = await createRuntime({ dataDir: folder })
    const successor = createRuntime({ dataDir: folder, lockWaitMs: 60_000 })
    await owner.close()
    await using runtime = await successor
    expect(runtime.health).toEqual({ status: 'open' })
  })

  it.each([
    ['lockWaitMs', { lockWaitMs: 5 }],
    ['onDamage', { onDamage: 'cut' }],
  ] as const)('are refused without one: %s', async (field, options) => {
    await expect(createRuntime(options)).rejects.toMatchObject({ code: 'invalid_input', data: { field } })
    const store = createMemoryJournal()
    await expect(createRuntime({ store, ...options })).rejects.toMatchObject({ code: 'invalid_input', data: { field } })
  })

  it('whose folders cannot be made is an error of the journal', async () => {
    await writeFile(join(folder, 'file'), '')
    await expect(createRuntime({ dataDir: join(folder, 'file', 'a', 'b') })).rejects.toMatchObject({
      code: 'journal_io',
      data: { operation: 'make_directory' },
    })
  })
})

describe('a data directory that is deleted under a runtime', () => {
  it('is noticed: ends are not acknowledged any more, and say why', async () => {
    const clock = new SimulatedClock()
    const dataDir = join(folder, 'journal')
    const runtime = await createRuntime({ dataDir, clock })
    const end = (): Promise<unknown> =>
      runtime.session('s').run({ kind: 'background_tool_op', displayName: 'n' }, () => 1).outcome
    expect(await end()).toMatchObject({ type: 'completed' })
    await rm(dataDir, { recursive: true })
    clock.advance(1000)
    await expect(end()).rejects.toMatchObject({ code: 'lane_lost' })
    expect(runtime.health).toMatchObject({ status: 'lost', cause: expect.stringContaining('lock.1 is gone') })
    await expect(runtime.reopen()).rejects.toMatchObject({ code: 'lane_lost' })
    await expect(runtime.close()).rejects.toMatchObject({ code: expect.stringMatching(/^(lane|journal_lock)_lost$/) })
    expect(clock.pendingTimeouts).toBe(0)
  })
})

describe('a completion cursor', () => {
  it('[O-73] may run ahead of every completion, which the log mentions', async () => {
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
      [{ consumer: 'agent_applied', cursor: 7, minted: 0 }, 'a cursor is ahead of the last completion'],
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
