import { describe, expect, it } from 'vitest'
import type { FailureReason } from '../../machines/operation-vocabulary.js'
import { errorDetailsLimits } from '../../src/base/error-details.js'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { idOf, openFixture, refusal } from './support/registry.js'
import { open, restart } from './support/restart.js'
import { job } from './support/work.js'

function thrown(): Error {
  const cause = Object.assign(new TypeError('no such host'), { code: 'ENOTFOUND', stack: 'at lookup' })
  return Object.assign(new Error('cannot fetch', { cause }), { stack: 'at fetch' })
}

/** What is known of {@link thrown}. */
const known = {
  type: 'failed',
  error: 'cannot fetch',
  reason: 'threw',
  cause: {
    name: 'Error',
    message: 'cannot fetch',
    stack: 'at fetch',
    cause: { name: 'TypeError', message: 'no such host', code: 'ENOTFOUND', stack: 'at lookup' },
  },
}

describe('a failure', () => {
  it('keeps what was thrown: in the handle, the feed, the journal, a snapshot and an exported document', async () => {
    const store = createMemoryJournal()
    const before = await open(store)
    const { id, outcome } = before.session.run(job, () => {
      throw thrown()
    })
    expect(await outcome).toEqual(known)
    expect(before.session.feed.since(0).entries.map((row) => row.outcome)).toEqual([known])
    const replayed = await restart(before.runtime, store)
    expect(replayed.operations.snapshot(id)?.outcome).toEqual(known)
    await replayed.runtime.compact()
    const restored = await restart(replayed.runtime, store)
    expect(restored.operations.snapshot(id)?.outcome).toEqual(known)
    expect(restored.session.feed.since(0).entries.map((row) => row.outcome)).toEqual([known])
    const document: unknown = JSON.parse(JSON.stringify(restored.operations.capturePersistenceSnapshot()))
    const moved = await restored.runtime.importSession('moved', document)
    expect(moved.operations.snapshot(id)?.outcome).toEqual(known)
  })

  it('is the same before and after a restart however much was thrown, and its size is bounded', async () => {
    const store = createMemoryJournal()
    const before = await open(store)
    let huge: unknown = new Error('m'.repeat(1e6))
    for (let level = 0; level < 20; level += 1) {
      huge = new AggregateError(
        Array.from({ length: 20 }, () => huge),
        'm'.repeat(1e4),
        { cause: huge },
      )
    }
    const { id, outcome } = before.session.run(job, () => {
      throw huge
    })
    const live = await outcome
    expect(JSON.stringify(live).length).toBeLessThan(2 * errorDetailsLimits.text)
    const after = await restart(before.runtime, store)
    expect(after.operations.snapshot(id)?.outcome).toEqual(live)
  })

  it('is frozen throughout', async () => {
    const { session } = await openFixture()
    const outcome = await session.run(job, () => Promise.reject(thrown())).outcome
    if (outcome.type !== 'failed') throw new Error(outcome.type)
    expect([outcome, outcome.cause, outcome.cause?.cause].map(Object.isFrozen)).toEqual([true, true, true])
  })

  it('of a host may say why, of nothing else than there is', async () => {
    const { operations, run } = await openFixture()
    await run([1, 2])
    const failure = { reason: 'nonsense' as FailureReason }
    expect(await refusal(operations.failOperation(idOf(1), 'gone', failure))).toMatchObject({
      code: 'invalid_input',
      field: 'failure.reason',
    })
    expect(await refusal(operations.failOperation(idOf(1), 'gone', { because: 1 } as never))).toMatchObject({
      code: 'invalid_input',
    })
    await operations.failOperation(idOf(1), 'gone', { reason: 'lost' })
    expect(operations.snapshot(idOf(1))?.outcome).toEqual({ type: 'failed', error: 'gone', reason: 'lost' })
    await operations.failOperation(idOf(2), 'gone')
    expect(operations.snapshot(idOf(2))?.outcome).toEqual({ type: 'failed', error: 'gone' })
  })

  it('of a document that knows less is read, and a reason that there is none of is refused with its field', async () => {
    const { operations, run, runtime } = await openFixture()
    await run([1])
    await operations.failOperation(idOf(1), 'gone', { reason: 'lost', cause: { name: 'E', message: 'm' } })
    const text = JSON.stringify(operations.capturePersistenceSnapshot())
    const parts = ',"reason":"lost","cause":{"name":"E","message":"m"}'
    expect(text).toContain(parts)
    const older = await runtime.importSession('older', JSON.parse(text.replaceAll(parts, '')))
    expect(older.operations.snapshot(idOf(1))?.outcome).toEqual({ type: 'failed', error: 'gone' })
    const strange = JSON.parse(text.replaceAll('"reason":"lost"', '"reason":"fate"')) as unknown
    expect(await refusal(runtime.importSession('strange', strange))).toMatchObject({
      code: 'invalid_input',
      field: expect.stringContaining('reason'),
    })
  })
})
