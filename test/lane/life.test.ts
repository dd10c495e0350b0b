import { describe, expect, it } from 'vitest'
import { Lane } from '../../src/lane/lane.js'
import { open, watch } from './support/fixture.js'
import { ScriptedJournal, settleReactions, storeOf } from './support/scripted-journal.js'
import { Tally } from './support/tally.js'

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

describe('settled', () => {
  it('waits for what was submitted and noted so far, not for what goes on behind it', async () => {
    const { journal, tally, lane } = await open()
    void tally.add(lane, 1)
    tally.note(lane, 1)
    const ends = watch(lane.settled())
    void tally.add(lane, 1)
    await journal.sync(1)
    expect(ends).toEqual([undefined])
    await journal.sync(1)
    expect(ends).toEqual(['resolved undefined'])
    await journal.sync()
  })

  it('resolves whatever the outcome', async () => {
    const { journal, tally, lane } = await open()
    const ends = watch(lane.settled())
    await settleReactions()
    expect(ends).toEqual(['resolved undefined'])
    void tally.add(lane, 1)
    const failed = watch(lane.settled())
    await journal.fail('journal_durability_unknown')
    expect(failed).toEqual(['resolved undefined'])
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
