import { describe, expect, it } from 'vitest'
import { JournalError } from '../../src/journal/errors.js'
import { open, watch } from './support/fixture.js'
import { settleReactions } from './support/scripted-journal.js'

const loss = (): JournalError => new JournalError('journal_lock_lost', { file: 'lock.1', reason: 'gone' })

describe('a lane whose journal belongs to somebody else', () => {
  it('loses what is under way and takes nothing any more', async () => {
    const { lane, tally, journal } = await open()
    const ends = watch(tally.add(lane, 1), tally.add(lane, 2))
    journal.rejectAll(loss())
    await settleReactions()
    expect(ends).toEqual(['lane_lost', 'lane_lost'])
    expect(tally.sum).toBe(0)
    expect(lane.health).toEqual({ status: 'lost', cause: expect.stringMatching(/^lock.1 is gone: /) })
    await expect(tally.add(lane, 3)).rejects.toMatchObject({
      code: 'lane_lost',
      data: { cause: expect.stringMatching(/^lock.1 is gone: /) },
    })
    expect(() => lane.check()).toThrow(expect.objectContaining({ code: 'lane_lost' }))
    await expect(lane.reopen()).rejects.toMatchObject({ code: 'lane_lost' })
  })

  it('notices at the call, or while it writes a snapshot', async () => {
    const { lane, tally, journal } = await open()
    journal.throwNext = loss()
    await expect(tally.add(lane, 1)).rejects.toMatchObject({ code: 'lane_lost' })
    const { lane: compacting, journal: other } = await open()
    other.failCompaction = loss()
    await expect(compacting.compact()).rejects.toMatchObject({ code: 'journal_lock_lost' })
    expect(compacting.health).toMatchObject({ status: 'lost' })
  })

  it('is lost also when it was poisoned before and finds out by reopening', async () => {
    const { lane, tally, journal } = await open()
    const added = tally.add(lane, 1)
    await journal.fail('journal_durability_unknown')
    await expect(added).rejects.toMatchObject({ code: 'lane_durability_unknown' })
    journal.reopening = Promise.reject(loss())
    await expect(lane.reopen()).rejects.toMatchObject({ code: 'journal_lock_lost' })
    expect(lane.health).toMatchObject({ status: 'lost' })
  })
})
