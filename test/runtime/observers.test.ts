import type { InspectionEvent } from 'xstate'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { OperationOutcome } from '../../machines/operation-vocabulary.js'
import type { Logger } from '../../src/base/logger.js'
import { createMemoryJournal, type MemoryJournalStore } from '../../src/journal/memory-journal.js'
import {
  completed,
  idOf,
  openFixture,
  openRuntime,
  refusal,
  resultOf,
  turnId,
  specOf,
} from '../operations/support/registry.js'
import { settleReactions } from '../lane/support/scripted-journal.js'
import { unhandledDuring } from '../support/unhandled.js'
import { createRecordingLogger } from './support/log.js'

afterEach(() => vi.restoreAllMocks())

const job = { kind: 'background_tool_op', displayName: 'job' } as const

const stores: readonly [string, () => { readonly store?: MemoryJournalStore }][] = [
  ['in memory', () => ({})],
  ['with a journal', () => ({ store: createMemoryJournal() })],
]

function breaks(): never {
  throw new Error('the observer broke')
}

describe.each(stores)('an inspector %s', (_, storage) => {
  it('that throws at every event is reported once and harms nothing', async () => {
    const logger = createRecordingLogger()
    const options = storage()
    const fixture = await openFixture({}, { ...options, inspect: breaks, logger })
    const { operations, session, runtime, run, complete } = fixture
    await run([1, 2])
    const wait = operations.waitAll(turnId, [idOf(1), idOf(2)])
    await complete(1)
    await operations.cancelOperation(idOf(2))
    await wait
    using turn = session.turn(turnId)
    turn.finish()
    using wake = session.wakeWhenIdle({ isQuiescent: () => true, inject: () => true })
    runtime.tasks.handle('work', () => 'done')
    expect((await runtime.tasks.outcome(await runtime.tasks.submit({ kind: 'work' }))).status).toBe('completed')
    expect(wake.actor.getSnapshot().status).toBe('active')
    expect(logger.lines).toEqual([
      {
        level: 'error',
        message: 'an inspector threw',
        fields: { error: 'the observer broke', cause: expect.objectContaining({ stack: expect.any(String) }) },
      },
    ])
    expect(runtime.health).toEqual({ status: 'open' })
    await runtime.close()
    if (options.store === undefined) return
    const recovered = (await openRuntime({ store: options.store })).session('owner')
    expect(recovered.feed.since(0).entries.map(({ outcome }) => outcome.type)).toEqual(['completed', 'cancelled'])
  })

  it('that is asynchronous and rejects is no unhandled rejection', async () => {
    const inspect = (): unknown => Promise.reject(new Error('later'))
    const unhandled = await unhandledDuring(async () => {
      const { session } = await openFixture({}, { ...storage(), inspect })
      await session.run(job, () => 'done').outcome
    })
    expect(unhandled).toEqual([])
  })

  it('that ends an operation as soon as it hears of it finds the registration in the journal before the end', async () => {
    const options = storage()
    const ends: unknown[] = []
    const inspect = (event: InspectionEvent): void => {
      if (event.type !== '@xstate.event' || event.event.type !== 'register') return
      const { id } = (event.event as unknown as { spec: { id: ReturnType<typeof idOf> } }).spec
      ends.push(
        operations.failOperation(id, 'at once').then(
          () => 'ended',
          (refused: unknown) => (refused as Error).message,
        ),
      )
    }
    const { operations, runtime } = await openFixture({}, { ...options, inspect })
    await operations.registerOperation(specOf(1))
    await operations.registerOperation(specOf(2))
    expect(await Promise.all(ends)).toEqual(['ended', 'ended'])
    expect(operations.listOperations().map(({ status }) => status)).toEqual(['failed', 'failed'])
    expect(runtime.health).toEqual({ status: 'open' })
    await runtime.close()
    if (options.store === undefined) return
    const recovered = (await openRuntime({ store: options.store })).session('owner')
    expect(recovered.lost).toEqual([])
    expect(recovered.feed.since(0).entries.map(({ operationId }) => operationId)).toEqual([idOf(1), idOf(2)])
  })

  it('that answers every end with another change breaks no order', async () => {
    const kinds: string[] = []
    const inspect = (event: InspectionEvent): void => {
      if (event.type !== '@xstate.event' || !event.event.type.startsWith('operation.')) return
      kinds.push(event.event.type)
      if (kinds.length > 1) return
      // In the middle of the termination of the other three.
      void operations.registerOperation(specOf(9))
      void operations.provisioningSucceeded(idOf(9))
      void operations.completeOperation(idOf(9), resultOf(9))
      operations.advanceCompletionCursor('agent_applied', 1)
    }
    const { operations, runtime } = await openFixture({}, { ...storage(), inspect })
    for (const number of [1, 2, 3]) await operations.registerOperation(specOf(number))
    await operations.terminateOwner('leaving')
    await settleReactions()
    await runtime.flush()
    const rows = operations.completionFeed().since(0).entries
    expect(rows.map(({ seq, operationId }) => [seq, operationId])).toEqual([
      [1, idOf(1)],
      [2, idOf(2)],
      [3, idOf(3)],
      [4, idOf(9)],
    ])
    expect(operations.snapshot(idOf(9))?.status).toBe('completed')
    expect(runtime.health).toEqual({ status: 'open' })
  })

  it('may give up a wait, dispose it twice, and close the runtime', async () => {
    const controller = new AbortController()
    let closing: Promise<void> | undefined
    const inspect = (event: InspectionEvent): void => {
      if (event.type !== '@xstate.event' || event.event.type !== 'operation.cancel') return
      controller.abort(new Error('enough'))
      wait[Symbol.dispose]()
      closing ??= fixture.runtime.close({ policy: 'terminate' })
    }
    const fixture = await openFixture({}, { ...storage(), inspect })
    await fixture.run([1, 2])
    const wait = fixture.operations.waitAll(turnId, [idOf(1), idOf(2)], { signal: controller.signal })
    await fixture.operations.cancelOperation(idOf(1))
    await expect(wait.result).rejects.toThrow('enough')
    await closing
    expect(fixture.operations.snapshot(idOf(2))?.status).toBe('terminated')
  })
})

describe('a logger that throws', () => {
  const log = (): never => breaks()
  const logger: Logger = { debug: log, info: log, warn: log, error: log }

  it('loses no outcome: an end that the journal refused is offered again', async () => {
    vi.spyOn(process, 'emitWarning').mockReturnValue()
    const store = createMemoryJournal()
    const fixture = await openFixture({}, { store, logger })
    const outcomes: OperationOutcome[] = []
    const unhandled = await unhandledDuring(async () => {
      const { outcome } = fixture.session.run(job, () => {
        store.failNext('write')
        return 'kept'
      })
      void outcome.then((end) => outcomes.push(end))
      await fixture.runtime.flush()
    })
    expect(unhandled).toEqual([])
    fixture.clock.advance(100)
    await fixture.runtime.flush()
    await settleReactions()
    expect(outcomes).toMatchObject([{ type: 'completed', result: { content: 'kept' } }])
  })

  it('does not make a task that is committed look refused', async () => {
    vi.spyOn(process, 'emitWarning').mockReturnValue()
    const { runtime } = await openFixture({}, { logger })
    runtime.tasks.authority.onCommit(breaks)
    const submitted = runtime.tasks.submit({ kind: 'work' })
    expect(runtime.tasks.projection.task(await submitted)).toBeDefined()
  })
})

describe('whoever follows a view', () => {
  it('may throw, as a subscriber, selector, comparison or inspector: it is reported, and others hear everything', async () => {
    const logger = createRecordingLogger()
    const { session, run, complete } = await openFixture({}, { logger })
    const { view } = session
    const seen: number[] = []
    view.store.subscribe(breaks)
    view.store.inspect(breaks)
    view.select(breaks).subscribe(() => {})
    view.select(({ store }) => store.get().context.version, breaks).subscribe(() => {})
    view.select(({ store }) => store.get().context.version).subscribe(breaks)
    view.store.select(breaks).subscribe(() => {})
    view.store.subscribe(({ context }) => seen.push(context.activeCount))
    await run([1])
    await settleReactions()
    await complete(1)
    await settleReactions()
    expect(seen.at(0)).toBe(1)
    expect(seen.at(-1)).toBe(0)
    const messages = logger.lines.map(({ message }) => message).toSorted()
    expect(messages).toEqual([
      'a selector of a view threw',
      'a selector of a view threw',
      'a selector of a view threw',
      'a subscriber of a view threw',
      'a subscriber of a view threw',
      'a subscriber of a view threw',
    ])
  })

  it('hears again of a selection whose selector works again; whoever reads it meanwhile is told', async () => {
    const { session, run, complete } = await openFixture()
    let isBroken = false
    const selection = session.view.select((view) => (isBroken ? breaks() : view.rows().map(({ status }) => status)))
    const seen: (readonly string[])[] = []
    selection.subscribe((statuses) => seen.push(statuses))
    isBroken = true
    await run([1])
    await settleReactions()
    expect(() => selection.get()).toThrow('the observer broke')
    isBroken = false
    await complete(1)
    await settleReactions()
    expect(seen).toEqual([['completed']])
    expect(selection.get()).toEqual(['completed'])
  })
})

describe('what is handed out', () => {
  /** Assigns to every part of a value; returns the paths at which that worked. */
  function tamper(value: unknown, path = '$', found: string[] = []): string[] {
    if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return found
    for (const key of Object.keys(value)) {
      tamper(Reflect.get(value, key), `${path}.${key}`, found)
      if (Reflect.set(value, key, 'tampered')) found.push(`${path}.${key}`)
    }
    if (Array.isArray(value) && Reflect.set(value, value.length, 'tampered')) found.push(`${path}[]`)
    return found
  }

  it('of the tasks room cannot be changed', async () => {
    const store = createMemoryJournal()
    const { runtime } = await openFixture({}, { store })
    const { tasks } = runtime
    const heard: unknown[] = []
    tasks.authority.onCommit(({ events }) => heard.push(events))
    const spec = { kind: 'work', payload: { a: 1 }, metadata: { tags: ['x'] }, budgets: { token: 5 } }
    const first = await tasks.submit(spec)
    spec.metadata.tags.push('y')
    const second = await tasks.submit({
      kind: 'work',
      dependsOn: [first],
      runPolicy: { type: 'repeat', count: 2, intervalMs: 60_000 },
    })
    tasks.handle('work', () => 'done')
    await tasks.outcome(first)
    const { projection } = tasks
    const rows = [first, second].flatMap((id) => [
      projection.task(id),
      ...projection.runsOf(id),
      ...projection.budgetsOf(id),
    ])
    expect(rows).toHaveLength(6)
    expect([...rows, projection.prerequisites(second)].flatMap((row) => tamper(row))).toEqual([])
    expect(heard.flatMap((events) => tamper(events))).toEqual([])
    expect(projection.task(first)?.spec.metadata.tags).toEqual(['x'])
    const dependents = projection.dependents(first)
    expect('clear' in dependents).toBe(false)
    expect([...dependents]).toEqual([second])
    const [one, other] = await Promise.all([tasks.outcome(first), tasks.outcome(first)])
    one.output?.fill(0)
    expect(other.output).toEqual(new Uint8Array(Buffer.from('done')))
  })

  it.each(['live', 'read back'])('of the operations room cannot be changed (%s)', async (state) => {
    const store = createMemoryJournal()
    let fixture = await openFixture({}, { store })
    const source = {
      kind: 'backend_peer' as const,
      peerId: 'p' as never,
      address: { transport: 'uds' as const, endpoint: '/x' },
    }
    await fixture.operations.registerOperation(specOf(1, 'background_tool_op', { operationSource: source }))
    await fixture.operations.provisioningSucceeded(idOf(1))
    await fixture.complete(1)
    if (state === 'read back') {
      await fixture.runtime.close()
      fixture = await openFixture({}, { store })
    }
    const { operations, session, runtime } = fixture
    expect(tamper(session.feed.since(0).entries[0])).toEqual([])
    expect(tamper(runtime.health)).toEqual([])
    // Pictures of a moment may be changed, but nobody else sees it.
    tamper(operations.snapshot(idOf(1)))
    tamper(operations.listOperations())
    tamper(operations.diagnostics())
    tamper(session.view.rows())
    expect(operations.snapshot(idOf(1))).toMatchObject({ id: idOf(1), operationSource: source, outcome: completed(1) })
    await runtime.compact()
    await runtime.close()
    const recovered = (await openRuntime({ store })).session('owner')
    expect(recovered.feed.since(0).entries).toMatchObject([{ seq: 1, operationId: idOf(1), outcome: completed(1) }])
  })

  it('of a turn and of a report of progress is a copy', async () => {
    const { session, operations, run } = await openFixture()
    await run([1])
    const refs = [{ operationId: idOf(1), waitPolicy: 'barrier' as const }]
    using turn = session.turn(turnId)
    const outcomes = turn.awaitOperations(refs)
    refs.pop()
    tamper(turn.pendingOperations)
    tamper(turn.barrierIds)
    expect(turn.pendingOperations).toEqual([{ operationId: idOf(1), waitPolicy: 'barrier' }])
    expect(turn.barrierIds).toEqual([idOf(1)])
    const progress = { message: 'half' }
    await operations.reportProgress(idOf(1), progress)
    progress.message = 'tampered'
    tamper(session.view.row(idOf(1))?.progress)
    expect(session.view.row(idOf(1))?.progress).toEqual({ message: 'half' })
    await operations.cancelOperation(idOf(1))
    const shown = await outcomes
    expect(tamper(shown)).toEqual([])
    expect(await refusal(outcomes)).toBe('resolved')
  })
})
