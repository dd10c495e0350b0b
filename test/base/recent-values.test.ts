import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RecentValues } from '../../src/base/recent-values.js'

describe('recent values', () => {
  it('are those that were put in or asked for last', () => {
    const values = new RecentValues<number>(10)
    for (let number = 1; number <= 5; number += 1) values.set(String(number), number, 1)
    for (let number = 6; number <= 12; number += 1) {
      expect(values.get('1')).toBe(1)
      values.set(String(number), number, 1)
    }
    expect(['1', '12', '2'].map((key) => values.get(key))).toEqual([1, 12, undefined])
  })

  it('are the last ones of their keys', () => {
    const values = new RecentValues<string>(10)
    values.set('a', 'old', 3)
    values.set('b', 'other', 3)
    values.set('a', 'new', 3)
    expect([values.get('a'), values.get('b')]).toEqual(['new', 'other'])
    values.set('a', 'large', 6)
    expect(values.get('a')).toBeUndefined()
  })

  it('come to no more than the limit, and never to another value than was put in last', () => {
    const put = fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), size: fc.integer({ min: 0, max: 7 }) })
    const asked = fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f') })
    fc.assert(
      fc.property(fc.array(fc.oneof(put, asked)), (steps) => {
        const values = new RecentValues<{ readonly step: number; readonly size: number }>(10)
        const last = new Map<string, number>()
        for (const [step, { key, ...rest }] of steps.entries()) {
          if ('size' in rest) {
            values.set(key, { step, size: rest.size }, rest.size)
            last.set(key, step)
            expect(values.get(key)?.step).toBe(rest.size <= 5 ? step : undefined)
          } else if (values.get(key) !== undefined) expect(values.get(key)?.step).toBe(last.get(key))
        }
        // Asking puts nothing in.
        const sizes = ['a', 'b', 'c', 'd', 'e', 'f'].map((key) => values.get(key)?.size ?? 0)
        expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(10)
      }),
    )
  })
})
