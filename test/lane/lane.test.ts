import { describe, expect, it } from 'vitest'
import { StatewardError, toError } from '../../src/base/errors.js'
import { JournalError } from '../../src/journal/errors.js'
import { Lane, type LaneOptions } from '../../src/lane/lane.js'
import { ScriptedJournal, settleReactions, storeOf } from './support/scripted-journal.js'
import { Tally, TooMuch } from './support/tally.js'

async function open(options: Partial<LaneOptions> = {}) {
  const journal = new ScriptedJournal()
  const tally = new Tally()
  const lane = await Lane.open({ store: storeOf(journal), streamFor: () => undefined, ...options })
  lane.attach(tally)
  return { journal, tally, lane }
}

/** How a promise ended so far, by code or value, without waiting for it. */
function watch(...promises: Promise<unknown>[]): (string | undefined)[] {
  const ends: (string | undefined)[] = promises.map(() => undefined)
  promises.forEach((promise, index) => {
    promise.then(
      (value) => (ends[index] = `resolved ${String(value)}`),
      (error: unknown) => (ends[index] = StatewardError.is(error) ? error.code : toError(error).constructor.name),
    )
  })
  return ends
}

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
    journal.throwNext = new JournalError('journal_record_too_large', 'too large', { bytes: 2, limit: 1 })
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
      data: { cause: 'scripted journal_not_appended' },
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
    expect(lane.health).toMatchObject({ status: 'poisoned', cause: 'scripted journal_durability_unknown' })
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

describe('a note', () => {
  const noted = (amount: number) => [['tally', { type: 'noted', amount }]]
  const added = (amount: number) => [['tally', { type: 'added', amount }]]

  it('keeps its place among submits', async () => {
    const { journal, tally, lane } = await open()
    void tally.add(lane, 1)
    tally.note(lane, 2)
    void tally.add(lane, 3)
    expect(journal.underWay).toEqual([added(1), noted(2), added(3)])
  })

  it.each(['journal_not_appended', 'journal_durability_unknown'] as const)(
    'goes first with the next append after %s took it back, in the order it was noted',
    async (code) => {
      const { journal, tally, lane } = await open()
      tally.note(lane, 1)
      void tally.add(lane, 2)
      tally.note(lane, 3)
      await journal.fail(code)
      await lane.reopen()
      void tally.add(lane, 4)
      expect(journal.underWay).toEqual([noted(1), noted(3), added(4)])
    },
  )

  it('survives being taken back again and again', async () => {
    const { journal, tally, lane } = await open()
    tally.note(lane, 1)
    for (const round of [2, 3]) {
      await journal.fail('journal_not_appended')
      tally.note(lane, round)
    }
    expect(journal.underWay).toEqual([noted(1), noted(2), noted(3)])
    await journal.sync()
    expect(journal.stored).toHaveLength(3)
  })

  it('made while the lane is poisoned is appended after the others by reopening', async () => {
    const { journal, tally, lane } = await open()
    tally.note(lane, 1)
    await journal.fail('journal_durability_unknown')
    tally.note(lane, 2)
    await lane.reopen()
    expect(journal.underWay).toEqual([noted(1), noted(2)])
  })

  it('keeps what stands behind it when the journal breaks while it is repeated', async () => {
    const { journal, tally, lane } = await open()
    tally.note(lane, 1)
    tally.note(lane, 2)
    await journal.fail('journal_not_appended')
    journal.throwNext = new JournalError('journal_poisoned', 'poisoned', { cause: 'sync' })
    await expect(tally.add(lane, 3)).rejects.toMatchObject({ code: 'lane_poisoned' })
    await lane.reopen()
    void tally.add(lane, 4)
    expect(journal.underWay).toEqual([noted(1), noted(2), added(4)])
  })

  it('is written by closing when nothing was appended after it was taken back', async () => {
    const { journal, tally, lane } = await open()
    tally.note(lane, 1)
    await journal.fail('journal_not_appended')
    await lane.close()
    expect(journal.stored.map(({ record }) => record)).toEqual(noted(1))
  })
})

describe('a snapshot', () => {
  it('reaches up to what is committed, not to what is under way', async () => {
    const { journal, tally, lane } = await open()
    void tally.add(lane, 1)
    await journal.sync()
    void tally.add(lane, 2)
    await lane.compact()
    expect(journal.snapshots).toEqual([{ through: 1, rows: [['tally', { sum: 1 }]] }])
    await journal.sync()
    await lane.compact()
    expect(journal.snapshots.at(-1)).toEqual({ through: 2, rows: [['tally', { sum: 3 }]] })
  })

  it('stops before a note under way, whose effect it may hold already', async () => {
    const { journal, tally, lane } = await open()
    void tally.add(lane, 1)
    await journal.sync()
    tally.note(lane, 5)
    void tally.add(lane, 2)
    await lane.compact()
    expect(journal.snapshots).toEqual([{ through: 1, rows: [['tally', { sum: 6 }]] }])
  })

  it('holds every attached stream and no detached one', async () => {
    const { journal, lane } = await open()
    const other = new Tally('other')
    lane.attach(other)
    lane.attach(new Tally('gone'))
    lane.detach(new Tally('gone'))
    await lane.compact()
    expect(journal.snapshots[0]?.rows).toEqual([
      ['tally', { sum: 0 }],
      ['other', { sum: 0 }],
    ])
  })

  it('is written once the journal has grown by the configured number of records', async () => {
    const { journal, tally, lane } = await open({ compactAfter: 3 })
    for (const amount of [1, 1, 1]) {
      void tally.add(lane, amount)
      await journal.sync()
    }
    expect(journal.snapshots).toEqual([{ through: 3, rows: [['tally', { sum: 3 }]] }])
  })

  it('that fails is reported and costs no record, and the next one is tried', async () => {
    const reports: string[] = []
    const ignore = (): void => {}
    const logger = { debug: ignore, info: ignore, warn: ignore, error: (_: object, text: string) => reports.push(text) }
    const { journal, tally, lane } = await open({ compactAfter: 1, logger })
    journal.failCompaction = new Error('no space')
    const ends = watch(tally.add(lane, 1))
    await journal.sync()
    expect([ends, reports.length]).toEqual([['resolved 1'], 1])
    journal.failCompaction = undefined
    tally.captureFails = new Error('corrupt')
    const later = watch(tally.add(lane, 1), tally.add(lane, 11))
    await journal.sync()
    expect([later, reports.length]).toEqual([['resolved 2', 'TooMuch'], 2])
    await expect(lane.compact()).rejects.toThrow('corrupt')
  })

  it('is shared by calls made while it is being written', async () => {
    const { journal, lane } = await open()
    const [first, second] = [lane.compact(), lane.compact()]
    await Promise.all([first, second])
    expect(journal.snapshots).toHaveLength(1)
  })
})

describe('closing', () => {
  it('refuses new work, lets what is under way settle, and releases the journal', async () => {
    const { journal, tally, lane } = await open()
    const first = tally.add(lane, 1)
    const closed = lane.close()
    await expect(tally.add(lane, 2)).rejects.toMatchObject({ code: 'lane_closed' })
    tally.note(lane, 3)
    expect(journal.isClosed).toBe(false)
    await journal.sync()
    await closed
    await expect(first).resolves.toBe(4)
    expect([journal.isClosed, journal.stored.length]).toEqual([true, 1])
  })

  it('is over for every caller only when the journal is released', async () => {
    const { journal, tally, lane } = await open()
    void tally.add(lane, 1)
    const closings = [lane.close(), lane.close()]
    const ends = watch(...closings)
    await settleReactions()
    expect(ends).toEqual([undefined, undefined])
    await journal.sync()
    await Promise.all(closings)
    expect(journal.isClosed).toBe(true)
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
    expect(ends).toEqual(['Error'])
    await expect(tally.add(lane, 1)).rejects.toMatchObject({ code: 'lane_poisoned' })
  })
})

describe('opening', () => {
  it('restores the snapshot, then replays the records, each into its stream', async () => {
    const streams: Tally[] = []
    const store = storeOf(new ScriptedJournal(), {
      rows: [['one', { sum: 4 }]],
      records: [
        ['one', { amount: 2 }],
        ['two', { amount: 3 }],
        ['one', { amount: 1 }],
      ],
    })
    const streamFor = (name: string): Tally => {
      const stream = new Tally(name)
      streams.push(stream)
      return stream
    }
    await Lane.open({ store, streamFor })
    expect(streams.map(({ name, log, sum }) => [name, log, sum])).toEqual([
      ['one', ['restore 4', 'replay 2', 'replay 1'], 7],
      ['two', ['replay 3'], 3],
    ])
  })

  it.each([
    [[['nobody', { amount: 1 }]], 'lane_unknown_stream'],
    [[{ amount: 1 }], 'invalid_input'],
    [[['tally', 'no object']], 'invalid_input'],
    [[['tally', { amount: 1 }, 'surplus']], 'invalid_input'],
  ])('refuses %j with %s and releases the journal', async (records, code) => {
    const journal = new ScriptedJournal()
    const streamFor = (name: string) => (name === 'tally' ? new Tally() : undefined)
    await expect(Lane.open({ store: storeOf(journal, { records }), streamFor })).rejects.toMatchObject({ code })
    expect(journal.isClosed).toBe(true)
  })

  it('refuses a second stream of the same name', async () => {
    const { lane } = await open()
    expect(() => lane.attach(new Tally())).toThrow(expect.objectContaining({ code: 'lane_stream_exists' }))
  })
})
