import { expect, it } from 'vitest'
import { clockTime, duration, instant, relative } from '../../../src/inspect/page/parts/text.js'

it('says instants by the clock of whoever looks, with the date where it is another day', () => {
  const noon = new Date(2026, 0, 31, 12, 3, 4, 5).getTime()
  expect(clockTime(noon)).toBe('12:03:04.005')
  expect(instant(noon, new Date(2026, 0, 31, 23, 59).getTime())).toBe('12:03:04.005')
  expect(instant(noon, new Date(2026, 1, 1, 0, 1).getTime())).toBe('2026-01-31 12:03:04')
  expect(clockTime(Number.MAX_VALUE)).toBe(String(Number.MAX_VALUE))
  expect(instant(Number.MAX_VALUE, noon)).toBe(String(Number.MAX_VALUE))
})

it('says how long something takes and how far it is with a unit', () => {
  expect([250, 3_210, 30_000, 240_000, 7_200_000, 259_200_000].map(duration)).toEqual([
    '250 ms',
    '3.2 s',
    '30 s',
    '4 min',
    '2 h',
    '3 d',
  ])
  expect([relative(0, 61_000), relative(61_000, 0), relative(0, 400)]).toEqual(['1 min ago', 'in 1 min', 'now'])
})
