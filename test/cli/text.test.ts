import { describe, expect, it } from 'vitest'
import { count, duration, fit, pad, plain } from '../../src/cli/text.js'

describe('text for a terminal', () => {
  it('is made plain: nothing that a terminal would obey is left', () => {
    expect(plain('\u001B[31mred\u001B[0m\r\n\u0007\u001B]0;title\u0007done\u009B2J')).toBe('red done')
    expect(plain('a\tb\u0000c')).toBe('a b c')
    expect(plain('日本 é')).toBe('日本 é')
  })

  it.each([
    ['short', 10, 'short'],
    ['exactly ten', 11, 'exactly ten'],
    ['one too many', 11, 'one too ma…'],
    ['日本語', 6, '日本語'],
    ['日本語', 5, '日本…'],
    ['日本語', 4, '日…'],
    ['e\u0301e\u0301', 2, 'e\u0301e\u0301'],
    ['👍👍', 3, '👍…'],
    ['anything', 1, '…'],
    ['anything', 0, ''],
    ['', 0, ''],
  ])('%j fits into %i columns as %j', (text, columns, expected) => {
    expect(fit(text, columns)).toBe(expected)
  })

  it('is padded by columns', () => {
    expect(pad('ab', 4)).toBe('ab  ')
    expect(pad('日本', 5)).toBe('日本 ')
    expect(pad('abc', 2)).toBe('abc')
  })

  it.each([
    [0, '0 ms'],
    [999, '999 ms'],
    [1000, '1.0 s'],
    [59_999, '59.9 s'],
    [60_000, '1 min 0 s'],
    [185_400, '3 min 5 s'],
  ])('says %i ms as %s', (milliseconds, expected) => {
    expect(duration(milliseconds)).toBe(expected)
  })

  it('counts in the singular and the plural', () => {
    expect([count(0, 'tool'), count(1, 'process'), count(2, 'process')]).toEqual([
      '0 tools',
      '1 process',
      '2 processes',
    ])
  })
})
