import { expect, it } from 'vitest'
import { RecordRing } from '../../src/base/record-ring.js'

interface Row {
  readonly seq: number
  readonly chainPending: boolean
}

const pending = (seq: number): Row => ({ seq, chainPending: true })

it('shows a record at once, with a flag that falls when it is confirmed', () => {
  const ring = new RecordRing<Row>(4)
  ring.push(pending(1))
  ring.push(pending(2))
  const before = ring.records()
  expect(ring.records()).toBe(before)
  ring.confirm(1)
  expect(ring.records()).toEqual([{ seq: 1, chainPending: false }, pending(2)])
  expect(before).toEqual([pending(1), pending(2)])
})

it('keeps the latest, and does not miss the confirmation of one that has left', () => {
  const ring = new RecordRing<Row>(2)
  for (let seq = 1; seq <= 7; seq += 1) {
    ring.push(pending(seq))
    expect(ring.size).toBeLessThanOrEqual(2)
  }
  const before = ring.records()
  for (const seq of [1, 4, 5, 8]) ring.confirm(seq)
  expect(ring.records()).toBe(before)
  ring.confirm(7)
  expect(ring.records()).toEqual([pending(6), { seq: 7, chainPending: false }])
})
