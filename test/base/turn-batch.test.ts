import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { TurnBatch } from '../../src/base/turn-batch.js'

function setUp(most: number) {
  const taken: (readonly number[])[] = []
  const batch = new TurnBatch<number>(most, (items) => taken.push(items))
  return { batch, taken }
}

it('items of one turn are handed over together in the next, each once', async () => {
  const { batch, taken } = setUp(10)
  for (const item of [3, 1, 3, 2]) batch.add(item)
  await Promise.resolve()
  expect(taken).toEqual([])
  await nextTurn()
  batch.add(3)
  await nextTurn()
  await nextTurn()
  expect(taken).toEqual([[3, 1, 2], [3]])
})

it('a great many are handed over in several turns', async () => {
  const { batch, taken } = setUp(2)
  for (const item of [1, 2, 3, 4, 5]) batch.add(item)
  await nextTurn()
  expect(taken).toEqual([[1, 2]])
  await nextTurn()
  await nextTurn()
  expect(taken).toEqual([[1, 2], [3, 4], [5]])
})

it('disposing hands over what is left, and nothing is called later', async () => {
  const { batch, taken } = setUp(2)
  for (const item of [1, 2, 3]) batch.add(item)
  batch[Symbol.dispose]()
  expect(taken).toEqual([[1, 2, 3]])
  batch[Symbol.dispose]()
  await nextTurn()
  expect(taken).toEqual([[1, 2, 3]])
})
