import { describe, expect, it } from 'vitest'
import { count, duration, fit, jsonLine, pad, plain, widthOf } from '../../src/cli/text.js'

describe('text for a terminal', () => {
  it('is made plain: nothing that a terminal would obey is left', () => {
    expect(plain('\u001B[31mred\u001B[0m\r\n\u0007\u001B]0;title\u0007done\u009B2J')).toBe('red done')
    expect(plain('a\tb\u0000c')).toBe('a b c')
    expect(plain('日本 é 👨‍👩‍👧')).toBe('日本 é 👨‍👩‍👧')
  })

  it('is made plain: nothing turns the direction of writing around or begins a line', () => {
    const bidi = [0x061c, 0x200e, 0x200f, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069]
    expect(plain(`ok${String.fromCodePoint(...bidi)}gpj.exe`)).toBe('okgpj.exe')
    expect(plain('one\u2028two\u2029three\u0085four')).toBe('one two three four')
  })

  it('as JSON says everything and holds nothing that a terminal would obey', () => {
    const value = { 'a\u202e': '\u0000\u001b[2J\u007f\u0085\u009b2J\u2028\u2066é日👍' }
    const line = jsonLine(value)
    expect(line).toBe('{"a\\u202e":"\\u0000\\u001b[2J\\u007f\\u0085\\u009b2J\\u2028\\u2066é日👍"}')
    expect(JSON.parse(line)).toEqual(value)
  })

  it.each([
    ['a', 1],
    ['e\u0301', 1],
    ['日', 2],
    ['ﾊ', 1],
    ['각', 2],
    ['\u1100\u1161\u11a8', 2],
    ['क्ष', 2],
    ['✅', 2],
    ['❌', 2],
    ['⚡', 2],
    ['☕', 2],
    ['⚠', 1],
    ['⚠\ufe0f', 2],
    ['1\ufe0f\u20e3', 2],
    ['👍🏽', 2],
    ['☝🏽', 2],
    ['👨‍👩‍👧', 2],
    ['🇩🇪', 2],
    ['\u200b', 0],
    ['✅ built 日本 👍🏽', 16],
  ])('%j takes %i columns', (text, columns) => {
    expect(widthOf(text)).toBe(columns)
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
    ['👍🏽👍🏽', 3, '👍🏽…'],
    ['👨‍👩‍👧x', 2, '…'],
    ['✅✅✅', 5, '✅✅…'],
    ['✅✅✅', 6, '✅✅✅'],
    ['🇩🇪🇫🇷', 3, '🇩🇪…'],
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
    expect(pad('⚡👍🏽', 5)).toBe('⚡👍🏽 ')
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
