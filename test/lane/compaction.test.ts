import { describe, expect, it } from 'vitest'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { Lane } from '../../src/lane/lane.js'
import { createRecordingLogger } from '../runtime/support/log.js'
import { ScriptedJournal, storeOf } from './support/scripted-journal.js'
import { Tally } from './support/tally.js'

/** A tally whose snapshot has this many rows. */
class LargeTally extends Tally {
  rows = 1

  override *capture() {
    for (let row = 0; row < this.rows; row += 1) yield { sum: this.sum }
  }
}

async function openLane(compactAfter: number) {
  const journal = new ScriptedJournal()
  const logger = createRecordingLogger()
  const lane = await Lane.open({ store: storeOf(journal), streamFor: () => undefined, compactAfter, logger })
  const tally = new LargeTally('tally', 1000)
  lane.attach(tally)
  const add = async (count: number): Promise<void> => {
    for (let left = count; left > 0; left -= 1) {
      const added = tally.add(lane, 1)
      await journal.sync()
      await added
    }
  }
  return { journal, logger, lane, tally, add }
}

describe('a snapshot of a lane', () => {
  it('is not written again before the journal has grown by a third as many records as it had rows', async () => {
    const { journal, tally, add } = await openLane(2)
    tally.rows = 13
    await add(2)
    expect(journal.snapshots).toHaveLength(1)
    await add(4)
    expect(journal.snapshots).toHaveLength(1)
    await add(1)
    expect(journal.snapshots).toHaveLength(2)
  })

  it('is not written again sooner because the journal was opened anew', async () => {
    const store = createMemoryJournal()
    const open = async (): Promise<{ lane: Lane; tally: LargeTally }> => {
      const tally = new LargeTally('tally', 1000)
      tally.rows = 13
      const lane = await Lane.open({ store, streamFor: () => tally, compactAfter: 2 })
      if (tally.sum === 0) lane.attach(tally)
      return { lane, tally }
    }
    const before = await open()
    await before.tally.add(before.lane, 1)
    await before.lane.compact()
    await before.lane.close()
    const { lane, tally } = await open()
    for (let count = 0; count < 4; count += 1) await tally.add(lane, 1)
    await lane.close()
    const { recovery } = await store.open()
    expect([...recovery.records]).toHaveLength(4)
  })

  it('that fails is not tried again with every record, but once the journal has grown as much again', async () => {
    const { journal, logger, add } = await openLane(3)
    journal.failCompaction = new Error('no space')
    await add(3)
    expect(logger.lines).toHaveLength(1)
    await add(2)
    expect(logger.lines).toHaveLength(1)
    journal.failCompaction = undefined
    await add(1)
    expect(journal.snapshots).toHaveLength(1)
  })
})

describe('a lane', () => {
  it('whose journal is broken is closed all the same, and says what did not reach it', async () => {
    const { journal, logger, lane, tally } = await openLane(100)
    const added = tally.add(lane, 1)
    await journal.fail('journal_durability_unknown')
    await expect(added).rejects.toMatchObject({ code: 'lane_durability_unknown' })
    tally.note(lane, 2)
    await lane.close()
    expect(journal.isClosed).toBe(true)
    expect(logger.lines.at(-1)).toMatchObject({ level: 'warn', fields: { lost: 1 } })
  })

  it('is not harmed by an observer that throws: the change stands, the failure is reported', async () => {
    const { journal, logger, lane, tally } = await openLane(100)
    const submit = (amount: number) =>
      lane.submit(tally, () => ({
        ...tally.stage(amount),
        publish: () => {
          throw new Error('nobody listens')
        },
      }))
    const added = submit(1)
    await journal.sync()
    expect(await added).toBe(1)
    expect(lane.health).toEqual({ status: 'open' })
    expect(logger.lines).toMatchObject([{ level: 'error', fields: { error: 'nobody listens' } }])
  })

  it('in memory is of no more use after a change broke: there is nothing to read back', async () => {
    const lane = await Lane.open({ streamFor: () => undefined })
    const tally = new Tally()
    tally.breaksAt = 3
    await expect(tally.add(lane, 3)).rejects.toThrow('the commit of 3 broke')
    await expect(tally.add(lane, 1)).rejects.toMatchObject({ code: 'lane_poisoned' })
    await expect(lane.reopen()).rejects.toMatchObject({ code: 'lane_apply_failed' })
    await expect(tally.add(lane, 1)).rejects.toMatchObject({ code: 'lane_poisoned' })
  })

  it('has settled once what was under way has, whatever has come since', async () => {
    const { journal, lane, tally } = await openLane(100)
    const first = tally.add(lane, 1)
    const settled = lane.settled()
    const second = tally.add(lane, 1)
    await journal.sync(1)
    await first
    await settled
    expect(tally.sum).toBe(1)
    await journal.sync()
    await second
  })
})
