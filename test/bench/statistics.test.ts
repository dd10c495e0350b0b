import { describe, expect, it } from 'vitest'
import { median, percentile } from '../../bench/statistics.js'

describe('median', () => {
  it('is the middle sample of an odd number, compared as numbers', () => {
    expect(median([100, 9, 20])).toBe(20)
  })

  it('is the mean of the two middle samples of an even number', () => {
    expect(median([4, 1, 3, 2])).toBe(2.5)
  })

  it('refuses an empty list', () => {
    expect(() => median([])).toThrow(RangeError)
  })
})

describe('percentile', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index)

  it('is the smallest sample that the share does not exceed', () => {
    expect(percentile(hundred, 0.99)).toBe(99)
    expect(percentile(hundred, 0.5)).toBe(50)
    expect(percentile(hundred, 1)).toBe(100)
    expect(percentile([7], 0.01)).toBe(7)
  })

  it('refuses a share outside (0, 1]', () => {
    expect(() => percentile(hundred, 0)).toThrow(RangeError)
    expect(() => percentile(hundred, 1.5)).toThrow(RangeError)
  })
})
