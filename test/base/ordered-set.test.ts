import fc from 'fast-check'
import { expect, it } from 'vitest'
import { OrderedSet } from '../../src/base/ordered-set.js'

const numbers = (): OrderedSet<number> => new OrderedSet((one, other) => one - other)

it('keeps items in order and each once', () => {
  const set = numbers()
  for (const item of [5, 1, 3, 5, 2]) set.add(item)
  expect([...set]).toEqual([1, 2, 3, 5])
  expect(set.size).toBe(4)
  expect([set.first, set.last]).toEqual([1, 5])
  expect([set.delete(3), set.delete(3), set.delete(9)]).toEqual([true, false, false])
  expect([...set]).toEqual([1, 2, 5])
})

it('is empty again when everything is gone', () => {
  const set = numbers()
  set.add(1)
  set.delete(1)
  expect(set.size).toBe(0)
  expect([set.first, set.last]).toEqual([undefined, undefined])
  expect([...set]).toEqual([])
})

it('stops where the test fails', () => {
  const set = numbers()
  for (let item = 0; item < 2000; item++) set.add(item)
  expect([...set.while((item) => item < 3)]).toEqual([0, 1, 2])
  expect([...set.while(() => false)]).toEqual([])
})

it('goes on behind an item, whether it is there or not', () => {
  const set = numbers()
  for (let item = 0; item < 2000; item += 2) set.add(item)
  const behind = (item: number): number[] => [...set.after(item)].slice(0, 2)
  expect(behind(-1)).toEqual([0, 2])
  for (const item of [0, 511, 1021, 1022, 1023, 1024, 1990]) {
    const next = item % 2 === 0 ? item + 2 : item + 1
    expect(behind(item)).toEqual([next, next + 2])
  }
  expect(behind(1996)).toEqual([1998])
  expect(behind(1998)).toEqual([])
  expect([...numbers().after(1)]).toEqual([])
})

it('replaces an item that compares equal', () => {
  const set = new OrderedSet<{ id: number; name: string }>((one, other) => one.id - other.id)
  set.add({ id: 1, name: 'old' })
  set.add({ id: 1, name: 'new' })
  expect([...set]).toEqual([{ id: 1, name: 'new' }])
})

it('agrees with a sorted set over many blocks, whatever the order of changes', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 5000 }), { minLength: 1500, maxLength: 3000, size: 'max' }),
      (changes) => {
        const set = numbers()
        const model = new Set<number>()
        for (const [index, item] of changes.entries()) {
          if (index % 3 === 2) expect(set.delete(item)).toBe(model.delete(item))
          else {
            set.add(item)
            model.add(item)
          }
        }
        const expected = [...model].sort((one, other) => one - other)
        expect([...set]).toEqual(expected)
        expect(set.size).toBe(expected.length)
        for (const item of expected) expect(set.delete(item)).toBe(true)
        expect([...set]).toEqual([])
      },
    ),
    { numRuns: 10 },
  )
})
