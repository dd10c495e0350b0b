import { describe, expect, it } from 'vitest'
import { sessionSelectors, type OperationView } from '../../src/operations/session-view.js'
import { completed, idOf, openFixture, specOf, start } from '../operations/support/registry.js'
import { settleReactions } from '../lane/support/scripted-journal.js'

describe('the view of a session', () => {
  it('shows each operation as it is now', async () => {
    const { session, operations, run, complete } = await openFixture()
    await run([1, 2])
    await operations.reportProgress(idOf(1), { message: 'half', fraction: 0.5 })
    await complete(2)
    expect(session.view.rows()).toEqual([
      {
        id: idOf(1),
        displayName: 'operation 1',
        kind: 'background_tool_op',
        status: 'running',
        progress: { message: 'half', fraction: 0.5 },
        outcome: null,
        createdAtMs: start,
      },
      {
        id: idOf(2),
        displayName: 'operation 2',
        kind: 'background_tool_op',
        status: 'completed',
        outcome: completed(2),
        createdAtMs: start,
        completedAtMs: start,
      },
    ])
    expect(session.view.row(idOf(9))).toBeUndefined()
  })

  it('publishes the changes of one turn together', async () => {
    const { session, operations, run } = await openFixture()
    await run([1])
    await settleReactions()
    const versions: number[] = []
    const before = session.view.store.getSnapshot().context.version
    session.view.store.subscribe(({ context }) => versions.push(context.version - before))
    for (let report = 0; report < 10; report += 1) void operations.reportProgress(idOf(1), { message: `${report}` })
    expect(versions).toEqual([])
    await settleReactions()
    expect(versions).toEqual([1])
  })

  it('tells a selection only of changes of its value', async () => {
    const { session, operations, run, complete } = await openFixture()
    const seen: number[] = []
    session.view.select(sessionSelectors.activeCount).subscribe((count) => seen.push(count))
    await run([1])
    await settleReactions()
    await run([2])
    await settleReactions()
    await operations.reportProgress(idOf(1), { message: '' })
    await settleReactions()
    await complete(1)
    await settleReactions()
    expect(seen).toEqual([1, 2, 1])
  })

  it('follows one operation, and what is live and ended', async () => {
    const { session, operations, run, complete } = await openFixture()
    const statuses: (string | undefined)[] = []
    session.view.select(sessionSelectors.operation(idOf(1))).subscribe((row) => statuses.push(row?.status))
    await operations.registerOperation(specOf(1))
    await settleReactions()
    await operations.provisioningSucceeded(idOf(1))
    await run([2])
    await settleReactions()
    await complete(1)
    await settleReactions()
    expect(statuses).toEqual(['provisioning', 'running', 'completed'])
    expect(sessionSelectors.live(session.view).map(({ id }) => id)).toEqual([idOf(2)])
    expect(sessionSelectors.ended(session.view).map(({ id }) => id)).toEqual([idOf(1)])
  })

  it('says nothing more once its registry broke: a selection is not asked for what nobody can answer', async () => {
    const { session, operations, run } = await openFixture()
    await run([1])
    await settleReactions()
    const seen: number[] = []
    session.view.select(sessionSelectors.live).subscribe((rows) => seen.push(rows.length))
    await operations.registerOperation(specOf(2))
    await settleReactions()
    void operations.reportProgress(idOf(1), { message: 'last words' })
    session.history.core.actor.send({ type: 'fault', cause: 'for the test' })
    await settleReactions()
    await settleReactions()
    expect(seen).toEqual([2])
  })

  it('keeps no progress of what has ended', async () => {
    const { session, operations, run } = await openFixture()
    await run([1])
    await operations.reportProgress(idOf(1), { message: 'half' })
    await operations.cancelOperation(idOf(1))
    expect(session.view.row(idOf(1))).not.toHaveProperty('progress')
  })

  it('gives the same row, and the same list of what is live, until it changes', async () => {
    const { session, operations, run, complete } = await openFixture()
    const { view } = session
    await run([1, 2, 3])
    expect(view.store.get().context).toMatchObject({ version: 0, activeCount: 3 })
    const before = view.live()
    expect(before.map(({ id }) => id)).toEqual([idOf(1), idOf(2), idOf(3)])
    expect(view.live()).toBe(before)
    await operations.reportProgress(idOf(2), { message: 'half' })
    await settleReactions()
    const after = view.live()
    expect(after.map((row, index) => row === before[index])).toEqual([true, false, true])
    expect(view.operation(idOf(2))).toBe(after[1])
    await complete(1)
    await settleReactions()
    expect(view.live()).toEqual([after[1], after[2]])
    expect(view.operation(idOf(1))?.status).toBe('completed')
    expect([before.length, Object.isFrozen(after[1])]).toEqual([3, true])
  })

  it('tells a selection of one operation nothing while only others change', async () => {
    const { session, run } = await openFixture()
    await run([1])
    const seen: (OperationView | undefined)[] = []
    session.view.select(sessionSelectors.operation(idOf(1)), Object.is).subscribe((row) => seen.push(row))
    await run([2])
    await settleReactions()
    expect(session.view.store.get().context.version).toBe(1)
    expect(seen).toEqual([])
  })

  it('publishes a great many changes in as many turns as they need', async () => {
    const { session, run } = await openFixture()
    const { view } = session
    const counts: number[] = []
    view.store.subscribe(() => counts.push(view.live().length))
    await run(Array.from({ length: 1200 }, (_, number) => number))
    await expect.poll(() => counts.at(-1)).toBe(1200)
    expect(counts).toEqual([512, 1024, 1200])
  })

  it('shows many operations that are live at the first look in as many turns as they need', async () => {
    const { session, run, operations } = await openFixture()
    const { view } = session
    await run(Array.from({ length: 1200 }, (_, number) => number))
    const seen: [number, boolean][] = []
    const look = (): void => void seen.push([view.live().length, view.store.get().context.isWhole])
    view.store.subscribe(look)
    look()
    // Ends before it has been shown.
    await operations.cancelOperation(idOf(1199))
    await expect.poll(() => view.store.get().context.isWhole).toBe(true)
    expect(seen).toEqual([
      [512, false],
      [1024, false],
      [1199, true],
    ])
    expect(view.live()).toEqual(view.rows().filter(({ outcome }) => outcome === null))
  })

  it('tells the last of it when its session is closed, and leaves nothing behind', async () => {
    const { session, run } = await openFixture()
    await run([1])
    const seen: number[] = []
    session.view.select(sessionSelectors.activeCount).subscribe((count) => seen.push(count))
    await session.close({ policy: 'terminate', graceMs: 0, reason: 'over' })
    expect(seen).toEqual([0])
    expect(session.view.live()).toEqual([])
  })

  it('makes no store before somebody looks, and shows what is live then', async () => {
    const { session, run, complete } = await openFixture()
    await run([1, 2])
    expect(sessionSelectors.activeCount(session.view)).toBe(2)
    expect(sessionSelectors.live(session.view).map(({ id }) => id)).toEqual([idOf(1), idOf(2)])
    await complete(1)
    expect(sessionSelectors.live(session.view).map(({ id }) => id)).toEqual([idOf(2)])
    await settleReactions()
    expect(session.view.store.get().context.version).toBe(0)
    expect(session.view.live().map(({ id }) => id)).toEqual([idOf(2)])
  })
})
