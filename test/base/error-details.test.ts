import { describe, expect, it } from 'vitest'
import { errorDetailsLimits, errorDetailsOf, type ErrorDetails } from '../../src/base/error-details.js'
import { StatewardError } from '../../src/base/errors.js'

describe('what was thrown', () => {
  it('is kept with its name, code, stack, causes and members', () => {
    const cause = Object.assign(new TypeError('inner'), { code: 'EINNER', stack: 'inner stack' })
    const member = Object.assign(new Error('member'), { stack: 'member stack' })
    const thrown = new AggregateError([member, 'text'], 'outer', { cause })
    thrown.stack = 'outer stack'
    expect(errorDetailsOf(thrown)).toEqual({
      name: 'AggregateError',
      message: 'outer',
      stack: 'outer stack',
      cause: { name: 'TypeError', message: 'inner', code: 'EINNER', stack: 'inner stack' },
      errors: [
        { name: 'Error', message: 'member', stack: 'member stack' },
        { name: 'thrown', message: 'text' },
      ],
    })
  })

  it('is kept with the code of our own errors, and with codes that are numbers', () => {
    expect(errorDetailsOf(new StatewardError('not_found', 'gone', {}))).toMatchObject({ code: 'not_found' })
    expect(errorDetailsOf(Object.assign(new Error('x'), { code: 404 }))).toMatchObject({ code: '404' })
  })

  it.each([
    ['nothing', undefined, { name: 'thrown', message: 'undefined' }],
    ['text', 'boom', { name: 'thrown', message: 'boom' }],
    ['an object', { message: 'said', code: 'E' }, { name: 'thrown', message: 'said', code: 'E' }],
    ['a thing without text', Object.create(null), { name: 'thrown', message: '{}' }],
    [
      'other types than it says',
      Object.assign(new Error('x'), { name: 5, message: { a: 1 }, stack: 7, code: {} }),
      { name: 'thrown', message: '{ a: 1 }' },
    ],
  ])('may be %s', (_, thrown, expected) => {
    expect(errorDetailsOf(thrown)).toEqual(expected)
  })

  it('may resist being looked at', () => {
    const hostile = new Proxy(new Error('x'), {
      get: () => {
        throw new Error('hands off')
      },
      has: () => {
        throw new Error('hands off')
      },
    })
    expect(errorDetailsOf(hostile)).toMatchObject({ name: 'thrown' })
    const revoked = Proxy.revocable([], {})
    revoked.revoke()
    expect(errorDetailsOf({ message: 'm', errors: revoked.proxy, cause: revoked.proxy })).toMatchObject({
      message: 'm',
    })
  })

  it('is bounded, however long or deep it is, and a circle ends', () => {
    const { message, stack, depth, members } = errorDetailsLimits
    const long = errorDetailsOf(Object.assign(new Error('m'.repeat(1e6)), { stack: 's'.repeat(1e6) }))
    expect([long.message.length, long.stack?.length]).toEqual([message + 1, stack + 1])
    let chain = new Error('0')
    for (let next = 1; next < 50; next++) chain = new Error(String(next), { cause: chain })
    let length = 0
    for (let next: ReturnType<typeof errorDetailsOf> | undefined = errorDetailsOf(chain); next; next = next.cause)
      length += 1
    expect(length).toBe(depth + 1)
    expect(errorDetailsOf(new AggregateError(Array.from({ length: 99 }, () => 1))).errors).toHaveLength(members)
    const circle = new Error('round')
    circle.cause = new Error('and', { cause: circle })
    expect(errorDetailsOf(circle).cause?.cause).toBeUndefined()
  })

  it('is bounded in all: errors that share members are not taken down once for each way that leads there', () => {
    let thrown: unknown = new Error('x'.repeat(5000))
    for (let level = 0; level < 8; level += 1) thrown = new AggregateError(Array.from({ length: 16 }, () => thrown))
    const details = errorDetailsOf(thrown)
    const { errors, text } = errorDetailsLimits
    const count = (each: ErrorDetails): number => (each.errors ?? []).reduce((sum, one) => sum + count(one), 1)
    expect(count(details)).toBe(errors)
    expect(JSON.stringify(details).length).toBeLessThan(2 * text)
    expect(errorDetailsOf(details)).toEqual(details)
  })
})
