import { describe, expect, it } from 'vitest'
import { createActor, createMachine } from 'xstate'
import { toPlain } from '../../src/inspect/plain.js'

class Ledger {
  readonly balance = 7
}

class Money {
  toJSON(): object {
    return { amount: 5n }
  }
}

function named(): void {}

const cyclic: { self?: unknown } = {}
cyclic.self = cyclic

describe('the plain form', () => {
  it.each([
    ['text', 'text', 'text'],
    ['a number', 1.5, 1.5],
    ['no number', Number.NaN, 'NaN'],
    ['null', null, null],
    ['nothing', undefined, undefined],
    ['a big integer', 2n ** 64n, '18446744073709551616'],
    ['a symbol', Symbol('s'), 'Symbol(s)'],
    ['a function', named, { type: 'named' }],
    ['an error', new RangeError('too far'), { name: 'RangeError', message: 'too far' }],
    ['a date', new Date(0), '1970-01-01T00:00:00.000Z'],
    ['an instance', new Ledger(), '[Ledger]'],
    ['a map', new Map([[1, 2]]), '[Map]'],
    ['bytes', new Uint8Array(3), '[Uint8Array]'],
    ['an instance that knows its JSON', new Money(), { amount: '5' }],
    ['a list with holes in it', [1, undefined, 3], [1, null, 3]],
    ['a record', { kept: [true], left: undefined }, { kept: [true] }],
  ])('of %s', (_, value, plain) => {
    expect(toPlain(value)).toEqual(plain)
  })

  it('of an actor is its id, not its state', () => {
    const actor = createActor(createMachine({ context: { secret: 1 } }), { id: 'one' })
    expect(toPlain({ actor })).toEqual({ actor: { xstate$$type: 1, id: 'one' } })
  })

  it('keeps a key that means something to JavaScript', () => {
    expect(JSON.stringify(toPlain(JSON.parse('{"__proto__":{"a":1}}')))).toBe('{"__proto__":{"a":1}}')
  })

  it('of a value that contains itself has a marker where it does, and only there', () => {
    const parent: { children: object[]; also?: object } = { children: [] }
    const twice = { of: 'both' }
    parent.children.push({ parent, twice }, { twice })
    expect(toPlain({ cyclic, parent })).toEqual({
      cyclic: { self: '[circular]' },
      parent: { children: [{ parent: '[circular]', twice: { of: 'both' } }, { twice: { of: 'both' } }] },
    })
  })

  it('of a value that goes on for ever ends at the depth', () => {
    const endless = (): object => ({ toJSON: () => ({ next: endless() }) })
    const limits = { depth: 4, entries: 9, characters: 9, values: 99 }
    expect(toPlain(endless(), limits)).toEqual({ next: { next: '…' } })
  })

  it('of what cannot be looked at is a marker in its place', () => {
    const fail = (): never => {
      throw Object.create(null)
    }
    const { proxy: revoked, revoke } = Proxy.revocable({}, {})
    revoke()
    const shyClass = Object.defineProperty({}, 'constructor', { get: fail })
    const list = Object.defineProperty([1, 2, 3], 1, { get: fail })
    const error = Object.defineProperty(new Error('seen'), 'message', { get: fail })
    expect(
      toPlain({
        before: 1,
        getter: Object.defineProperty({ kept: 2 }, 'broken', { get: fail, enumerable: true }),
        list,
        error,
        json: { toJSON: fail },
        revoked,
        noKeys: new Proxy({}, { ownKeys: fail }),
        noPrototype: new Proxy({}, { getPrototypeOf: fail }),
        noneRead: new Proxy({ a: 1, b: 2 }, { get: fail }),
        instance: Object.create(shyClass) as object,
        big: { amount: 12n },
        after: 3,
      }),
    ).toEqual({
      before: 1,
      getter: { kept: 2, broken: '[unreadable]' },
      list: [1, '[unreadable]', 3],
      error: { name: 'Error', message: '[unreadable]' },
      json: '[unreadable]',
      revoked: '[unreadable]',
      noKeys: '[unreadable]',
      noPrototype: '[unreadable]',
      noneRead: { a: '[unreadable]', b: '[unreadable]' },
      instance: '[unreadable]',
      big: { amount: '12' },
      after: 3,
    })
  })

  it('of what is not what its type says is JSON all the same', () => {
    class Named {
      static readonly name = (): void => {}
      readonly kept = 1
    }
    const error = Object.assign(new Error('x'), { name: 7, message: { code: 5 } })
    const orphan: unknown = Object.create(Object.create(null))
    expect(toPlain({ error, named: new Named(), construct: Named, orphan })).toEqual({
      error: { name: 7, message: { code: 5 } },
      named: '[Object]',
      construct: { type: 'Object' },
      orphan: '[Object]',
    })
  })

  it('is cut at each limit, and says so', () => {
    const limits = { depth: 3, entries: 2, characters: 4, values: 100 }
    expect(toPlain('abcdefgh', limits)).toBe('abcd… 4 more characters')
    expect(toPlain([1, 2, 3, 4], limits)).toEqual([1, 2, '… 2 more'])
    expect(toPlain({ a: 1, b: 2, c: 3 }, limits)).toEqual({ a: 1, b: 2, '…': 'more' })
    expect(toPlain([1, 2, 3], { ...limits, entries: 9, values: 3 })).toEqual([1, 2, '…'])
  })

  it('of anything is small', () => {
    const wide = Array.from({ length: 100_000 }, (_, index) => ({ index, text: 'x'.repeat(10_000) }))
    const text = JSON.stringify(toPlain({ wide, deep: { wide, deep: { wide } } }))
    // 300 texts of 2,000 characters; without limits this would be 3 GB.
    expect(text.length).toBeLessThan(700_000)
  })
})
