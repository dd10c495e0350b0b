import { randomUUID } from 'node:crypto'
import { describe, expect, expectTypeOf, it } from 'vitest'
import type { OperationId, TurnId } from '../../machines/operation-vocabulary.js'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { OperationFailed, type Report } from '../../src/operations/index.js'
import { keptReports } from '../../src/work/report-stream.js'
import { idOf, openFixture, refusal, specOf, stateOf } from './support/registry.js'
import { open } from './support/restart.js'
import { startWork } from './support/work.js'

describe('what an operation works on and returns', () => {
  it('[O-162] is a value: text, JSON with bytes within, or nothing', async () => {
    const { session } = await openFixture()
    const files = session.run('list', async () => ({ files: 12, hash: new Uint8Array([1, 2]) }))
    expectTypeOf(files.result()).resolves.toEqualTypeOf<{ files: number; hash: Uint8Array<ArrayBuffer> }>()
    expect(await files.result()).toEqual({ files: 12, hash: new Uint8Array([1, 2]) })
    expect(await session.run('text', () => '12').result()).toBe('12')
    expect(await session.run('number', () => 12).result()).toBe(12)
    expect(await session.run('nothing', () => {}).result()).toBeUndefined()
    expect(session.operations.snapshot(files.id)).toMatchObject({ kind: 'background_tool_op', displayName: 'list' })
  })

  it('[O-162] throws where there is no result, with what was thrown as its cause', async () => {
    const { session } = await openFixture()
    const failed = session.run('fails', () => {
      throw new TypeError('3 problems')
    })
    const error = await failed.result().catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(OperationFailed)
    expect(error).toMatchObject({ code: 'operation_failed', data: { id: failed.id, outcome: { reason: 'threw' } } })
    expect((error as Error).cause).toMatchObject({ name: 'TypeError', message: '3 problems' })
    const { id, cancel } = await startWork(session)
    await cancel('not needed')
    expect(await session.operations.registerWatcher(id)).toEqual({ type: 'cancelled', reason: 'not needed' })
  })

  it('[O-162] is what a host says when it completes the operation itself', async () => {
    const { session, operations } = await openFixture()
    const handle = session.run('job', () => new Promise<string>(() => {}))
    await operations.completeOperation(handle.id, {
      id: handle.id,
      content: 'by hand',
      isError: false,
      durationMs: 0,
      tokensUsed: 0,
    })
    expect(await handle.result()).toBe('by hand')
  })

  it('[O-163] several at once, typed and in their order; a turn of its own that owes nothing afterwards', async () => {
    const { session } = await openFixture()
    const one = session.run('one', async () => ({ pages: 3 }))
    const two = session.run('two', () => 'text')
    const both = session.all([one, two, one])
    const other = session.all([two])
    expectTypeOf(both).resolves.toEqualTypeOf<[{ pages: number }, string, { pages: number }]>()
    expect(await both).toEqual([{ pages: 3 }, 'text', { pages: 3 }])
    expect(await other).toEqual(['text'])
    expect(session.operations.outstandingObligations()).toEqual([])
    expect(await session.all([])).toEqual([])
  })

  it('[O-163] rejects with the first that has no result, once all have ended', async () => {
    const { session } = await openFixture({ maxConcurrent: 2 })
    const failing = session.run('two', () => {
      throw new Error('second')
    })
    const handles = [session.run('one', () => 1), failing]
    const refused = session.run('three', () => 1)
    expect(await refusal(session.all([refused]))).toMatchObject({ code: 'max_concurrent_exceeded' })
    expect(await refusal(session.all([...handles]))).toMatchObject({ code: 'operation_failed', id: failing.id })
    expect(await refusal(session.all([{ id: idOf(1) }] as never))).toMatchObject({ code: 'invalid_input' })
  })

  it('[O-164] cancels what its signal gives up, and begins nothing under one that has aborted', async () => {
    const { session } = await openFixture()
    const controller = new AbortController()
    const handle = session.run(
      'job',
      ({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', reject)),
      {
        signal: controller.signal,
      },
    )
    controller.abort(new Error('the user left'))
    expect(await handle.outcome).toEqual({ type: 'cancelled', reason: 'the user left' })
    const late = session.run('job', () => 1, { signal: controller.signal })
    await expect(late.outcome).rejects.toThrow('the user left')
    expect(session.operations.listOperations()).toHaveLength(1)
  })

  it('[O-166] what has been evicted is awaited from the feed, and nothing is guessed about what left that too', async () => {
    const { session, operations, finish } = await openFixture({ maxCompleted: 1 })
    const turn = () => randomUUID() as TurnId
    expect(await refusal(operations.waitAll(turn(), [idOf(1)]))).toEqual({ code: 'not_found', id: idOf(1) })
    for (let number = 1; number <= 3; number += 1) await finish(number)
    expect(operations.snapshot(idOf(1))).toBeUndefined()
    const { outcomes } = await session.waitAll(turn(), [idOf(1), idOf(3)])
    expect(outcomes.map(({ operationId, outcome }) => [operationId, outcome.type])).toEqual([
      [idOf(1), 'completed'],
      [idOf(3), 'completed'],
    ])
    for (let number = 4; number <= 1030; number += 1) await finish(number)
    expect(await refusal(operations.waitAll(turn(), [idOf(1)]))).toEqual({ code: 'no_longer_retained', id: idOf(1) })
  })
})

describe('the input of an operation', () => {
  const asked = { url: 'https://example.org', body: new Uint8Array([7]) }

  it('[O-167] is handed to its work and shown, and what JSON would change is refused with its path', async () => {
    const { session } = await openFixture()
    const handle = session.run('fetch', ({ input }) => ({ ...input, isSame: true }), { input: asked })
    expect(await handle.result()).toEqual({ ...asked, isSame: true })
    expect(session.operations.snapshot(handle.id)?.input).toEqual(asked)
    const bad = session.run('fetch', () => 1, { input: { at: new Date() } })
    expect(await refusal(bad.outcome)).toMatchObject({ code: 'invalid_input', field: 'input.at' })
    const long = session.run('fetch', () => 1, { input: 'x'.repeat(1_048_576) })
    expect(await refusal(long.outcome)).toMatchObject({ code: 'invalid_input', field: 'input' })
    expect(session.operations.isPoisoned).toBe(false)
  })

  it('[O-167] is durable: lost operations are run again from it, under their ids', async () => {
    const store = createMemoryJournal()
    const before = await open(store)
    const parent = before.session.run('parent', () => new Promise(() => {}), { input: asked })
    const part = before.session.run('part', () => new Promise(() => {}), { parent })
    const other = before.session.run('other', () => new Promise(() => {}), { input: null })
    await before.runtime.flush()
    await before.runtime.compact()
    store.crash()
    before.session.dispose()
    await before.runtime.close().catch(() => {})
    const after = await open(store)
    expect(after.session.lost.map(({ id, input, parentId }) => ({ id, input, parentId }))).toEqual([
      { id: parent.id, input: asked, parentId: undefined },
      { id: part.id, input: undefined, parentId: parent.id },
      { id: other.id, input: null, parentId: undefined },
    ])
    const seen: OperationId[] = []
    const handles = after.session.rerunLost((id, { displayName }) => {
      seen.push(id)
      if (displayName === 'other') return undefined
      return ({ input }) => (displayName === 'parent' ? (input as typeof asked).url : new Promise(() => {}))
    })
    expect(seen).toEqual([parent.id, part.id, other.id])
    expect(handles.map(({ id }) => id)).toEqual([parent.id, part.id])
    expect(await handles[0]?.result()).toBe('https://example.org')
    expect(await handles[1]?.outcome).toMatchObject({ type: 'cancelled' })
    expect(after.session.lost.map(({ id }) => id)).toEqual([other.id])
  })

  it('[O-167] leaves lost what cannot run without its parent', async () => {
    const store = createMemoryJournal()
    const before = await open(store)
    await before.operations.registerOperation(specOf(1))
    await before.operations.registerOperation(specOf(2, 'background_tool_op', { parentId: idOf(1) }))
    await before.runtime.flush()
    store.crash()
    before.session.dispose()
    await before.runtime.close().catch(() => {})
    const after = await open(store)
    const [handle] = after.session.rerunLost((id) => (id === idOf(2) ? () => 1 : undefined))
    expect(await refusal(handle?.outcome ?? Promise.resolve())).toMatchObject({ code: 'parent_not_found' })
    expect(after.session.lost.map(({ id }) => id)).toEqual([idOf(1), idOf(2)])
  })
})

describe('what a running operation says', () => {
  async function read(reports: AsyncIterable<Report>): Promise<Report[]> {
    const all: Report[] = []
    for await (const report of reports) all.push(report)
    return all
  }

  it('[O-168] is read from its handle, by whoever comes and when, until it ends', async () => {
    const { session } = await openFixture()
    const { context, result, outcome, id } = await startWork(session)
    void id
    const handle = session.run('talks', async ({ progress, output }) => {
      progress('half', 0.5)
      output('line\n')
      await result.promise
      output('end')
    })
    const early = read(handle.progress)
    expect(context.input).toBeUndefined()
    result.resolve('done')
    await Promise.all([handle.outcome, outcome])
    const expected = [
      { type: 'progress', message: 'half', fraction: 0.5 },
      { type: 'output', text: 'line\n' },
      { type: 'output', text: 'end' },
    ]
    expect(await early).toEqual(expected)
    expect(await read(handle.progress)).toEqual(expected)
  })

  it('[O-168] holds up nobody: a reader that is too slow is told of a gap', async () => {
    const { session } = await openFixture()
    const handle = session.run('talks', ({ output }) => {
      for (let line = 1; line <= keptReports + 10; line += 1) output(`${line}`)
      output('x'.repeat(20_000))
    })
    await handle.outcome
    const [gap, first, ...rest] = await read(handle.progress)
    expect(gap).toEqual({ type: 'gap', missed: 13 })
    expect(first).toEqual({ type: 'output', text: '14' })
    expect(rest.slice(-3).map((report) => (report as { text: string }).text.length)).toEqual([8192, 8192, 3616])
  })

  it('[O-168] can be left at once, and ends without a word where there was none', async () => {
    const { session } = await openFixture()
    const { result } = await startWork(session)
    const handle = session.run('quiet', () => result.promise)
    const reader = handle.progress[Symbol.asyncIterator]()
    const next = reader.next()
    expect(await stateOf(next)).toBe('pending')
    await reader.return?.()
    expect(await next).toMatchObject({ done: true })
    result.resolve(1)
    await handle.outcome
    expect(await read(handle.progress)).toEqual([])
    const refused = session.run('x'.repeat(1025), () => 1)
    expect(await read(refused.progress)).toEqual([])
    expect(await refusal(refused.outcome)).toMatchObject({ code: 'invalid_input' })
  })
})
