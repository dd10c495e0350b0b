import { describe, expect, it } from 'vitest'
import { JournalError } from '../../src/journal/errors.js'
import { open } from './support/fixture.js'

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
    journal.throwNext = new JournalError('journal_poisoned', { cause: 'sync' })
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
