import { describe, expect, it } from 'vitest'
import { InvalidInputError, messageOf, StatewardError, toError, unreachable } from '../../src/base/errors.js'

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
})

describe('unreachable', () => {
  it('throws when it is reached after all', () => {
    expect(() => unreachable('fourth' as never, 'dimension')).toThrow(
      expect.objectContaining({ code: 'unreachable', message: 'unhandled dimension: fourth' }),
    )
  })
})
