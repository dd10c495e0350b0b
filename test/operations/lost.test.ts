import { describe, expect, it } from 'vitest'
import type { JournalStore } from '../../src/journal/journal.js'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { idOf, refusal, specOf, start, type Fixture } from './support/registry.js'
import { open, restart, rows } from './support/restart.js'

describe('lost operations', () => {
  async function withLost(): Promise<{ store: JournalStore; fixture: Fixture }> {
    const store = createMemoryJournal()
    const before = await open(store)
    await before.operations.registerOperation(specOf(1))
    await before.run([2, 3])
    await before.operations.requestRetire(idOf(3))
    await before.operations.registerOperation(specOf(4, 'background_tool_capacity_slot'))
    return { store, fixture: await restart(before.runtime, store) }
  }

  function lost({ session }: Fixture) {
    return session.lost.map(({ id, status }) => [id, status])
  }

  it('[O-126] are those that were live, with the status they had; capacity slots leave no trace', async () => {
    const { fixture } = await withLost()
    expect(lost(fixture)).toEqual([
      [idOf(1), 'provisioning'],
      [idOf(2), 'running'],
      [idOf(3), 'running'],
    ])
    expect(fixture.operations.snapshot(idOf(2))).toBeUndefined()
  })

  it('stay lost over restarts and snapshots until they are forgotten', async () => {
    const { store, fixture } = await withLost()
    const second = await restart(fixture.runtime, store)
    expect(lost(second)).toHaveLength(3)
    await second.runtime.compact()
    const third = await restart(second.runtime, store)
    expect(lost(third)).toHaveLength(3)
    third.session.forgetLost([idOf(2), idOf(77)])
    expect(lost(third).map(([id]) => id)).toEqual([idOf(1), idOf(3)])
    const fourth = await restart(third.runtime, store)
    expect(lost(fourth).map(([id]) => id)).toEqual([idOf(1), idOf(3)])
    fourth.session.forgetLost()
    await fourth.runtime.compact()
    expect(lost(await restart(fourth.runtime, store))).toEqual([])
  })

  it('are started anew by registering their id, and are not lost any more, after a snapshot either', async () => {
    const { store, fixture } = await withLost()
    await fixture.run([2])
    expect(lost(fixture).map(([id]) => id)).toEqual([idOf(1), idOf(3)])
    await fixture.complete(2)
    await fixture.operations.collectCompleted()
    await fixture.runtime.compact()
    const after = await restart(fixture.runtime, store)
    expect(lost(after).map(([id]) => id)).toEqual([idOf(1), idOf(3)])
    expect(rows(after)).toEqual([[1, idOf(2), 'completed']])
  })

  it('that were started anew and are lost once more are reported once', async () => {
    const { store, fixture } = await withLost()
    await fixture.operations.registerOperation(specOf(2))
    const after = await restart(fixture.runtime, store)
    expect(lost(after)).toEqual([
      [idOf(1), 'provisioning'],
      [idOf(2), 'provisioning'],
      [idOf(3), 'running'],
    ])
  })

  it('[O-194] say when they began to run, after a snapshot too; one that had not begun says nothing', async () => {
    const store = createMemoryJournal()
    const before = await open(store)
    await before.operations.registerOperation(specOf(1))
    before.clock.advance(1500)
    await before.run([2])
    await before.runtime.compact()
    before.clock.advance(1500)
    await before.run([3])
    const times = ({ session }: Fixture) => session.lost.map(({ id, startedAtMs }) => [id, startedAtMs])
    const started = [
      [idOf(1), undefined],
      [idOf(2), start + 1500],
      [idOf(3), start + 3000],
    ]
    const after = await restart(before.runtime, store)
    expect(times(after)).toEqual(started)
    await after.runtime.compact()
    expect(times(await restart(after.runtime, store))).toEqual(started)
  })

  it('of which an end arrives are unknown: nobody may end what runs nowhere', async () => {
    const { fixture } = await withLost()
    expect(await refusal(fixture.complete(2))).toEqual({ code: 'not_found', id: idOf(2) })
  })
})
