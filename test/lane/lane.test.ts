import { describe, expect, it } from 'vitest'
import { JournalError } from '../../src/journal/errors.js'
import { Lane } from '../../src/lane/lane.js'
import { open, watch } from './support/fixture.js'
import { settleReactions } from './support/scripted-journal.js'
import { Tally, TooMuch } from './support/tally.js'

describe('a submit', () => {
  it('is invisible until it is durable, then commits, publishes and resolves', async () => {
    const { journal, tally, lane } = await open()
    const ends = watch(tally.add(lane, 3))
    await settleReactions()
    expect([tally.sum, tally.log, ends]).toEqual([0, [], [undefined]])
    expect(journal.underWay).toEqual([[['tally', { type: 'added', amount: 3 }]]])
    await journal.sync()
    expect([tally.sum, tally.log, ends]).toEqual([3, ['commit 3', 'publish 3'], ['resolved 3']])
  })

  it('is validated against everything under way, and commits strictly in order', async () => {
    const { journal, tally, lane } = await open()
    const ends = watch(tally.add(lane, 4), tally.add(lane, 5), tally.add(lane, 2))
    expect(tally.seen).toBe(9)
    await journal.sync(1)
    expect([tally.sum, ends]).toEqual([4, ['resolved 4', undefined, undefined]])
    await journal.sync()
    expect(tally.log).toEqual(['commit 4', 'publish 4', 'commit 5', 'publish 5'])
    expect(ends).toEqual(['resolved 4', 'resolved 9', 'TooMuch'])
  })

  it('that is refused leaves no trace in the journal', async () => {
    const { journal, tally, lane } = await open()
    await expect(tally.add(lane, 11)).rejects.toThrow(TooMuch)
    expect([journal.underWay, tally.log, tally.seen]).toEqual([[], [], 0])
  })

  it('journals a group of facts as one', async () => {
    const { journal, tally, lane } = await open()
    void lane.submit(tally, () => tally.stage(2, [{ part: 1 }, { part: 2 }]))
    expect(journal.underWay).toEqual([
      [
        ['tally', { part: 1 }],
        ['tally', { part: 2 }],
      ],
    ])
  })

  it('without facts still waits for what is ahead of it', async () => {
    const { journal, tally, lane } = await open()
    const ends = watch(
      tally.add(lane, 1),
      lane.submit(tally, () => tally.stage(2, [])),
    )
    await settleReactions()
    expect(ends).toEqual([undefined, undefined])
    await journal.sync()
    expect(ends).toEqual(['resolved 1', 'resolved 3'])
  })

  it.each(['journal_not_appended', 'journal_durability_unknown'] as const)(
    'without facts is not committed when what is ahead of it ends with %s',
    async (code) => {
      const { journal, tally, lane } = await open()
      watch(
        tally.add(lane, 1),
        lane.submit(tally, () => tally.stage(2, [])),
      )
      await journal.fail(code)
      await lane.settled()
      await settleReactions()
      expect(tally.log).toEqual(['discard 2', 'discard 1'])
      expect([tally.sum, tally.seen]).toEqual([0, 0])
    },
  )

  it('that the journal cannot encode is taken back alone', async () => {
    const { journal, tally, lane } = await open()
    const first = tally.add(lane, 1)
    journal.throwNext = new JournalError('journal_record_too_large', { bytes: 2, limit: 1 })
    await expect(tally.add(lane, 2)).rejects.toMatchObject({ code: 'lane_not_appended' })
    expect(tally.log).toEqual(['discard 2'])
    await journal.sync()
    await expect(first).resolves.toBe(1)
    void tally.add(lane, 4)
    await journal.sync()
    expect(tally.sum).toBe(5)
  })
})

describe('a refusal', () => {
  it('settles at once when nothing is under way', async () => {
    const { tally, lane } = await open()
    const ends = watch(tally.add(lane, 11))
    await settleReactions()
    expect(ends).toEqual(['TooMuch'])
  })

  it('that may lean on what is under way settles after it', async () => {
    const { journal, tally, lane } = await open()
    const ends = watch(tally.add(lane, 9), tally.add(lane, 2))
    await settleReactions()
    expect(ends).toEqual([undefined, undefined])
    await journal.sync()
    expect(ends).toEqual(['resolved 9', 'TooMuch'])
  })

  it.each([
    ['journal_not_appended', 'lane_not_appended'],
    ['journal_durability_unknown', 'lane_durability_unknown'],
  ] as const)('that leaned on a change lost to %s becomes the failure', async (code, failure) => {
    const { journal, tally, lane } = await open()
    const ends = watch(tally.add(lane, 9), tally.add(lane, 2))
    await journal.fail(code)
    expect(ends).toEqual([failure, failure])
  })
})

describe('a write that was taken back', () => {
  it('discards everything under way, newest first, and rejects it in order', async () => {
    const { journal, tally, lane } = await open()
    const order: number[] = []
    for (const amount of [1, 2, 3]) tally.add(lane, amount).catch(() => order.push(amount))
    await journal.fail('journal_not_appended')
    expect(tally.log).toEqual(['discard 3', 'discard 2', 'discard 1'])
    expect(order).toEqual([1, 2, 3])
    expect([tally.seen, lane.health]).toEqual([0, { status: 'open' }])
  })

  it('spares what was durable before it', async () => {
    const { journal, tally, lane } = await open()
    const ends = watch(tally.add(lane, 1), tally.add(lane, 2))
    await journal.sync(1)
    await journal.fail('journal_not_appended')
    expect([ends, tally.sum]).toEqual([['resolved 1', 'lane_not_appended'], 1])
  })

  it('may be tried again', async () => {
    const { journal, tally, lane } = await open()
    const first = tally.add(lane, 9)
    await journal.fail('journal_not_appended')
    await expect(first).rejects.toMatchObject({
      code: 'lane_not_appended',
      data: { cause: 'the write was refused: scripted' },
    })
    const ends = watch(tally.add(lane, 9))
    await journal.sync()
    expect([ends, tally.log]).toEqual([['resolved 9'], ['discard 9', 'commit 9', 'publish 9']])
  })
})

describe('a sync that failed', () => {
  it('poisons the lane: nobody is told of the change, and everything behind it and later is refused', async () => {
    const { journal, tally, lane } = await open()
    const ends = watch(tally.add(lane, 1), tally.add(lane, 2))
    await journal.fail('journal_durability_unknown')
    expect(ends).toEqual(['lane_durability_unknown', 'lane_poisoned'])
    expect(tally.log).toEqual(['discard 2', 'discard 1'])
    expect(lane.health).toMatchObject({
      status: 'poisoned',
      cause: 'whether the records survive is unknown, reopen the journal: scripted',
    })
    await expect(tally.add(lane, 1)).rejects.toMatchObject({ code: 'lane_poisoned' })
    expect(() => lane.check()).toThrow(expect.objectContaining({ code: 'lane_poisoned' }))
  })

  it('is left behind by reopening', async () => {
    const { journal, tally, lane } = await open()
    void tally.add(lane, 1)
    await journal.fail('journal_durability_unknown')
    await lane.reopen()
    expect(lane.health).toEqual({ status: 'open' })
    const ends = watch(tally.add(lane, 7))
    await journal.sync()
    expect(ends).toEqual(['resolved 7'])
  })

  it('does not come back to life when the lane is closed while it reopens', async () => {
    const { journal, tally, lane } = await open()
    void tally.add(lane, 1)
    await journal.fail('journal_durability_unknown')
    let release = (): void => {}
    journal.reopening = new Promise((resolve) => {
      release = resolve
    })
    const reopened = lane.reopen()
    const closed = lane.close()
    release()
    await Promise.all([reopened, closed])
    expect(lane.health).toEqual({ status: 'closed' })
    await expect(tally.add(lane, 1)).rejects.toMatchObject({ code: 'lane_closed' })
  })

  it('is not taken for a refused write by work that arrives before anybody noticed', async () => {
    const { journal, tally, lane } = await open()
    const first = tally.add(lane, 1)
    journal.failUnnoticed('journal_durability_unknown')
    const ends = watch(first, tally.add(lane, 2))
    tally.note(lane, 3)
    await settleReactions()
    expect(ends).toEqual(['lane_durability_unknown', 'lane_poisoned'])
    await lane.reopen()
    expect(journal.underWay).toEqual([[['tally', { type: 'noted', amount: 3 }]]])
  })
})

describe('a lane without a journal', () => {
  it('commits and publishes in the call', async () => {
    const lane = await Lane.open({ streamFor: () => undefined })
    const tally = new Tally()
    lane.attach(tally)
    const added = tally.add(lane, 2)
    expect(tally.log).toEqual(['commit 2', 'publish 2'])
    await expect(added).resolves.toBe(2)
    expect(lane.isDurable).toBe(false)
  })

  it('is poisoned by a change that breaks while it is applied', async () => {
    const lane = await Lane.open({ streamFor: () => undefined })
    const tally = new Tally()
    tally.breaksAt = 3
    await expect(tally.add(lane, 3)).rejects.toThrow('the commit of 3 broke')
    await expect(tally.add(lane, 1)).rejects.toMatchObject({ code: 'lane_poisoned' })
  })
})

describe('a change that breaks while it is applied', () => {
  it('rejects, and poisons the lane', async () => {
    const { journal, tally, lane } = await open()
    tally.breaksAt = 3
    const ends = watch(tally.add(lane, 3))
    await journal.sync()
    expect(ends).toEqual(['lane_apply_failed'])
    await expect(tally.add(lane, 1)).rejects.toMatchObject({ code: 'lane_poisoned' })
  })

  it('is never decided upon again: reopening is refused, however often and whatever fails besides', async () => {
    const { journal, tally, lane } = await open()
    tally.breaksAt = 3
    const broken = tally.add(lane, 3)
    await journal.sync()
    await expect(broken).rejects.toThrow('the commit of 3 broke')
    await expect(lane.reopen()).rejects.toMatchObject({
      code: 'lane_apply_failed',
      data: { cause: 'the commit of 3 broke' },
    })
    await expect(lane.reopen()).rejects.toMatchObject({ code: 'lane_apply_failed' })
    expect(lane.health).toMatchObject({ status: 'poisoned' })
    await expect(tally.add(lane, 3)).rejects.toMatchObject({ code: 'lane_poisoned' })
    expect(journal.stored).toHaveLength(1)
  })

  it('takes along what its stream had decided on it, and nothing of another stream', async () => {
    const { journal, tally, lane } = await open()
    const other = new Tally('other')
    lane.attach(other)
    tally.breaksAt = 3
    const ends = watch(tally.add(lane, 3), tally.add(lane, 1), other.add(lane, 2))
    await journal.sync()
    expect(ends).toEqual(['lane_apply_failed', 'lane_apply_failed', 'resolved 2'])
    expect(tally.log).toEqual(['commit 3'])
    // All three are durable; the next process reads back what this one could not apply.
    expect(journal.stored).toHaveLength(3)
  })

  it('is found out while a failed sync is being left behind', async () => {
    const { journal, tally, lane } = await open()
    tally.breaksAt = 3
    const broken = tally.add(lane, 3)
    const behind = tally.add(lane, 1)
    await journal.sync(1)
    await journal.fail('journal_durability_unknown')
    await expect(broken).rejects.toMatchObject({ code: 'lane_apply_failed' })
    await expect(behind).rejects.toMatchObject({ code: 'lane_durability_unknown' })
    await expect(lane.reopen()).rejects.toMatchObject({ code: 'lane_apply_failed' })
  })
})

describe('a lane without a journal', () => {
  /** A clock by which every look takes the share of a whole turn. */
  const hurried = (): { monotonicNow: () => number } => {
    let nowMs = 0
    return { monotonicNow: () => (nowMs += 10) }
  }

  it.each(['answers', 'refuses'] as const)('lets others have their turn, however often it %s', async (what) => {
    const lane = await Lane.open({ streamFor: () => undefined, clock: hurried() })
    const tally = new Tally('tally', what === 'answers' ? 1000 : 0)
    lane.attach(tally)
    const timer = { hadTurn: false }
    setTimeout(() => (timer.hadTurn = true))
    let calls = 0
    while (!timer.hadTurn && calls < 1000) {
      calls += 1
      await tally.add(lane, 1).catch(() => {})
    }
    expect(timer.hadTurn).toBe(true)
    expect(tally.sum).toBe(what === 'answers' ? calls : 0)
  })

  it('commits at once and answers in the order of the calls, also in a later turn', async () => {
    const lane = await Lane.open({ streamFor: () => undefined, clock: hurried() })
    const tally = new Tally()
    lane.attach(tally)
    const order: number[] = []
    const answers = [1, 2, 3].map(async (amount) => void order.push(await tally.add(lane, amount)))
    expect(tally.sum).toBe(6)
    await Promise.all(answers)
    expect(order).toEqual([1, 3, 6])
  })
})
