import { expect, it } from 'vitest'
import { messageOf } from '../../src/base/errors.js'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { Lane } from '../../src/lane/lane.js'
import { Tally } from './support/tally.js'

/** A lane whose groups of one turn share one answer of the journal. */
async function openLane() {
  const store = createMemoryJournal()
  const tally = new Tally()
  const lane = await Lane.open({ store, streamFor: () => undefined })
  lane.attach(tally)
  const ends: string[] = []
  const add = (amount: number): Promise<unknown> =>
    tally.add(lane, amount).then(
      (sum) => ends.push(`sum ${sum}`),
      (error: unknown) => ends.push(messageOf(error)),
    )
  return { store, tally, lane, ends, add }
}

it('answers come in the order of the calls, refusals among them, although one write carries them all', async () => {
  const { ends, add } = await openLane()
  await Promise.all([add(4), add(7), add(5), add(2)])
  expect(ends).toEqual(['sum 4', '4 + 7 > 10', 'sum 9', '9 + 2 > 10'])
})

it('a refusal that leans on a write which fails is answered with the failure, and what follows is not lost', async () => {
  const { store, ends, add } = await openLane()
  store.failNext('write')
  await Promise.all([add(4), add(7), add(5)])
  const refused = 'not appended: the write was refused: no space'
  expect(ends).toEqual([refused, refused, refused])
  await add(7)
  expect(ends.at(-1)).toBe('sum 7')
})

it('a change that an observer makes while a write settles is taken, and answered with the next write', async () => {
  const { tally, lane, ends, add } = await openLane()
  const { stage } = tally
  let followed: Promise<unknown> | undefined
  tally.stage = (amount, facts) => {
    const staged = stage.call(tally, amount, facts)
    return {
      ...staged,
      publish: () => {
        followed ??= Promise.all([add(1), add(100)])
      },
    }
  }
  await Promise.all([add(4), add(5)])
  await followed
  expect(ends).toEqual(['sum 4', 'sum 9', 'sum 10', '10 + 100 > 10'])
  expect(tally.sum).toBe(10)
  await lane.close()
})
