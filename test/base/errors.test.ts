import { describe, expect, it } from 'vitest'
import {
  describeValue,
  InvalidInputError,
  messageOf,
  StatewardError,
  toError,
  unreachable,
} from '../../src/base/errors.js'
import { textOf } from '../../src/base/options.js'
import { strangeThrows } from '../support/thrown.js'

describe('StatewardError', () => {
  it('carries code, data, message and cause', () => {
    const cause = new Error('below')
    const error = new StatewardError('too_late', 'it is too late', { at: 7 }, { cause })
    expect(error).toMatchObject({ code: 'too_late', message: 'it is too late', data: { at: 7 }, cause })
    expect(String(error)).toBe('StatewardError: it is too late')
  })

  it('is recognised by brand and code, also when it was made by another copy of the package', () => {
    const error = new InvalidInputError({ subject: 'plan', field: 'tools', reason: 'missing' })
    const foreign = { [Symbol.for('stateward.error')]: true, code: 'too_late' }
    expect(StatewardError.is(error)).toBe(true)
    expect(StatewardError.is(error, 'invalid_input')).toBe(true)
    expect(StatewardError.is(error, 'too_late')).toBe(false)
    expect(StatewardError.is(foreign, 'too_late')).toBe(true)
    for (const other of [new Error('plain'), { code: 'too_late' }, null, undefined, 'too_late']) {
      expect(StatewardError.is(other)).toBe(false)
    }
  })
})

describe('InvalidInputError', () => {
  it('names subject, field and reason', () => {
    const error = new InvalidInputError({ subject: 'plan file', field: 'tools.3', reason: 'not a string' })
    expect(String(error)).toBe('InvalidInputError: invalid plan file: tools.3: not a string')
    expect(error.data).toEqual({ subject: 'plan file', field: 'tools.3', reason: 'not a string' })
  })
})

describe('what was thrown', () => {
  it('has a text and becomes an error, whatever it is', () => {
    const error = new Error('broken')
    expect([messageOf(error), messageOf('text'), messageOf(undefined)]).toEqual(['broken', 'text', 'undefined'])
    expect(toError(error)).toBe(error)
    expect(toError('text')).toMatchObject({ message: 'text', cause: 'text' })
  })

  it.each(strangeThrows)('has a text even if it is %s', (_, make, text) => {
    const thrown = make()
    expect(messageOf(thrown)).toBe(text)
    expect(messageOf(toError(thrown))).toBe(text)
    expect(StatewardError.is(thrown)).toBe(false)
    expect(StatewardError.is(thrown, 'lane_closed')).toBe(false)
  })

  it('is not read to its end: only the text of an error itself is as long as it is', () => {
    expect(messageOf(new Error('x'.repeat(5000)))).toHaveLength(5000)
    const wide = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`field${index}`, 'x'.repeat(100)]))
    expect(messageOf(wide)).toHaveLength(1001)
    expect(messageOf({ toString: () => 'x'.repeat(5000) })).toHaveLength(1001)
    expect(messageOf({ a: { b: { c: 1 }, d: [1, [2]] } })).toBe('{ a: { b: {…}, d: […] } }')
  })
})

describe('a value in a text', () => {
  it.each([
    ['5', '"5"'],
    [5, '5'],
    [5n, '5n'],
    [Number.NaN, 'NaN'],
    [null, 'null'],
    [[1, 'a'], '[1, "a"]'],
    [
      Array.from({ length: 30 }, (_, index) => index),
      '[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, …]',
    ],
    [Object.defineProperty({ a: 1 }, 'b', { enumerable: true, get: () => unreachable(0 as never) }), '{ a: 1, b: … }'],
  ])('is described as it would be written', (value, text) => {
    expect(describeValue(value)).toBe(text)
  })
})

describe('a refused value in a text', () => {
  const { proxy, revoke } = Proxy.revocable<object>([], {})
  revoke()

  it.each([
    ['text', '"text"'],
    ['x'.repeat(65), `"${'x'.repeat(64)}"`],
    [5n, '5n'],
    [null, 'null'],
    [Symbol('5'), 'Symbol(5)'],
    [[1], 'an array'],
    [{ token: 'secret' }, 'an object'],
    [() => 1, 'a function'],
  ])('is described in a few words (%#)', (value, text) => {
    expect(textOf(value)).toBe(text)
  })

  it('is described even when it cannot be looked at', () => {
    expect(textOf(proxy)).toBe('an object')
  })
})

describe('unreachable', () => {
  it('throws when it is reached after all', () => {
    expect(() => unreachable('fourth' as never, 'dimension')).toThrow(
      expect.objectContaining({ code: 'unreachable', message: 'unhandled dimension: fourth' }),
    )
  })
})
