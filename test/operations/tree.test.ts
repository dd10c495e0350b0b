import { describe, expect, it } from 'vitest'
import type { OperationSpec } from '../../machines/operation-vocabulary.js'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { mostLevels } from '../../src/operations/tree.js'
import { idOf, openFixture, refusal, resultOf, specOf, type Fixture } from './support/registry.js'
import { open, rows } from './support/restart.js'
import { scripted } from './support/scripted.js'

/** An operation that is a part of another. */
function partOf(number: number, parent: number, more: Partial<OperationSpec> = {}): OperationSpec {
  return specOf(number, 'background_tool_op', { parentId: idOf(parent), ...more })
}

function statuses({ operations }: Fixture, ...numbers: readonly number[]) {
  return numbers.map((number) => operations.snapshot(idOf(number))?.status)
}

describe('a tree of operations', () => {
  /** 1 above 2 above 3, beside them 4, which outlives 1, and 5 below 4. */
  async function family(fixture: Fixture): Promise<void> {
    const { operations } = fixture
    await fixture.run([1])
    for (const spec of [partOf(2, 1), partOf(3, 2), partOf(4, 1, { outlivesParent: true }), partOf(5, 4)]) {
      await operations.registerOperation(spec)
      await operations.provisioningSucceeded(spec.id)
    }
  }

  it.each(['complete', 'fail', 'cancel', 'retire'] as const)('[O-150] any end ends what is below: %s', async (end) => {
    const fixture = await openFixture()
    const { operations } = fixture
    await family(fixture)
    const below = operations.registerWatcher(idOf(3))
    if (end === 'complete') await operations.completeOperation(idOf(1), resultOf(1))
    if (end === 'fail') await operations.failOperation(idOf(1), 'broken')
    if (end === 'cancel') await operations.cancelOperation(idOf(1))
    if (end === 'retire') await operations.markRetired(idOf(1))
    expect(await below).toMatchObject({ type: 'cancelled', reason: expect.stringContaining(idOf(1)) as string })
    expect(statuses(fixture, 2, 3)).toEqual(['cancelled', 'cancelled'])
  })

  it('[O-151] what outlives its parent goes on, with what is below it', async () => {
    const fixture = await openFixture()
    await family(fixture)
    await fixture.complete(1)
    expect(statuses(fixture, 4, 5)).toEqual(['running', 'running'])
    expect(fixture.operations.snapshot(idOf(4))).toMatchObject({ parentId: idOf(1) })
  })

  it('[O-152] the end of a parent is durable before the ends below it, and closes the tree at once', async () => {
    const fixture = await scripted([])
    const { operations, journal } = fixture
    await family(fixture)
    await operations.registerOperation(partOf(6, 2))
    await journal.sync()
    const ended = operations.cancelOperation(idOf(1))
    // Decided, not durable: what is below goes on, and nothing joins it.
    const refused = [
      refusal(operations.registerOperation(partOf(7, 1))),
      refusal(operations.registerOperation(partOf(8, 3))),
      refusal(operations.registerOperation(partOf(9, 1, { outlivesParent: true }))),
      refusal(operations.provisioningSucceeded(idOf(6))),
    ]
    expect(statuses(fixture, 1, 2, 3)).toEqual(['running', 'running', 'running'])
    await journal.sync()
    await ended
    expect(statuses(fixture, 1, 2, 3)).toEqual(['cancelled', 'running', 'running'])
    for (const answer of refused) expect(await answer).toMatchObject({ code: 'parent_ended', parentId: idOf(1) })
    await journal.sync()
    expect(statuses(fixture, 2, 3, 6)).toEqual(['cancelled', 'cancelled', 'cancelled'])
  })

  it('[O-152] an end that does not become durable leaves the tree open', async () => {
    const fixture = await scripted([])
    const { operations, journal } = fixture
    await family(fixture)
    await journal.sync()
    const refused = refusal(operations.cancelOperation(idOf(1)))
    await journal.fail('journal_not_appended')
    expect(await refused).toMatchObject({ code: 'lane_not_appended' })
    await operations.registerOperation(partOf(6, 2))
    expect(statuses(fixture, 1, 2, 6)).toEqual(['running', 'running', 'provisioning'])
  })

  it('[O-153] an unknown parent, itself as parent and too many levels are refused', async () => {
    const { operations } = await openFixture()
    expect(await refusal(operations.registerOperation(partOf(2, 1)))).toEqual({
      code: 'parent_not_found',
      id: idOf(2),
      parentId: idOf(1),
    })
    expect(await refusal(operations.registerOperation(partOf(2, 2)))).toMatchObject({ field: 'parentId' })
    const alone = specOf(2, 'background_tool_op', { outlivesParent: true })
    expect(await refusal(operations.registerOperation(alone))).toMatchObject({ field: 'outlivesParent' })
    await operations.registerOperation(specOf(1))
    for (let number = 2; number <= mostLevels + 1; number += 1)
      await operations.registerOperation(partOf(number, number - 1))
    const last = mostLevels + 2
    const answer = await refusal(operations.registerOperation(partOf(last, last - 1)))
    expect(answer).toEqual({ code: 'tree_too_deep', id: idOf(last), limit: 128 })
  })

  it('[O-154] the next process ends what is below an end that was durable, and reports as lost what outlived it', async () => {
    const store = createMemoryJournal()
    const before = await open(store)
    await family(before)
    await before.runtime.flush()
    // The process dies once the end of the parent is durable.
    await before.operations.cancelOperation(idOf(1))
    expect(statuses(before, 1, 2, 3)).toEqual(['cancelled', 'running', 'running'])
    store.crash()
    before.session.dispose()
    await before.runtime.close().catch(() => {})
    const after = await open(store)
    await after.runtime.flush()
    expect(statuses(after, 1, 2, 3)).toEqual(['cancelled', 'cancelled', 'cancelled'])
    expect(rows(after).map(([, id]) => id)).toEqual([idOf(1), idOf(2), idOf(3)])
    expect(after.session.lost.map(({ id }) => id)).toEqual([idOf(4), idOf(5)])
  })

  it('[O-150] many are ended in groups, each looked at once', async () => {
    const fixture = await openFixture()
    const { operations } = fixture
    await fixture.run([1])
    for (let number = 2; number <= 20_000; number += 1) {
      await operations.registerOperation(partOf(number, number <= 100 ? 1 : (number % 99) + 2))
    }
    await operations.cancelOperation(idOf(1))
    await fixture.runtime.flush()
    expect(operations.activeCount).toBe(0)
    expect(operations.completionFeed().watermark()).toBe(20_000)
  })
})
