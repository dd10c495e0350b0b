import fc from 'fast-check'
import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { checkValue, decodeValue, deepestValue, encodeValue, type Schema } from '../../src/work/values.js'

const throughJson = (value: unknown): unknown => {
  const encoded = encodeValue(value, 'output')
  return decodeValue(encoded === undefined ? undefined : JSON.parse(JSON.stringify(encoded)))
}

describe('values', () => {
  it.each([
    [null],
    [true],
    [0.1],
    ['text \u2028 \ud800'],
    [[]],
    [{}],
    [{ a: [1, { b: 'c' }] }],
    [new Uint8Array([0, 255])],
    [{ inside: [new Uint8Array([1])] }],
    [{ $bytes: 'not bytes' }],
    [{ $plain: { $bytes: 'AAAA' } }],
    [{ $bytes: 'x', more: 1 }],
    [undefined],
  ])('%j comes back as it was', (value) => {
    expect(throughJson(value)).toEqual(value)
  })

  it('come back whatever JSON can say', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(throughJson(value)).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })

  it('keep a key that means something to JavaScript, and give bytes of their own', () => {
    const tricky: unknown = JSON.parse('{ "__proto__": { "a": 1 } }')
    expect(Object.keys(throughJson(tricky) as object)).toEqual(['__proto__'])
    const buffer = Buffer.from('abc')
    expect(throughJson(buffer)).toEqual(new Uint8Array([97, 98, 99]))
  })

  it('leave out properties that are undefined', () => {
    expect(throughJson({ a: undefined, b: 1 })).toEqual({ b: 1 })
  })

  it('say -0 as JSON does, before it is stored too', () => {
    expect(encodeValue(-0, 'output')).toBe(0)
    expect(decodeValue(encodeValue([-0, -1], 'output'))).toEqual([0, -1])
  })

  const instanceOf = (name: string) => `an instance of ${name} has no form in JSON: pass a plain object, text or bytes`
  class Point {
    x = 1
  }
  const cycle: Record<string, unknown> = {}
  cycle['self'] = { cycle }
  const throwing = {
    get secret(): never {
      throw new Error('not yours')
    },
  }
  const revoked = Proxy.revocable({}, {})
  revoked.revoke()

  it.each<[string, unknown, string, string]>([
    ['NaN', { a: [0, Number.NaN] }, 'a.1', 'NaN has no form in JSON'],
    ['infinity', Number.POSITIVE_INFINITY, '$', 'Infinity has no form in JSON'],
    ['a BigInt', { a: 1n }, 'a', 'a bigint has no form in JSON'],
    ['a symbol', { a: Symbol('s') }, 'a', 'a symbol has no form in JSON'],
    ['a function', () => 1, '$', 'a function has no form in JSON'],
    ['a date', { when: new Date(0) }, 'when', instanceOf('Date')],
    ['a map', [new Map()], '0', instanceOf('Map')],
    ['another typed array', new Float32Array(1), '$', instanceOf('Float32Array')],
    ['an instance of a class', { at: new Point() }, 'at', instanceOf('Point')],
    ['undefined in a list', [1, undefined], '1', 'undefined has no form in a JSON array'],
    ['a hole', Object.assign([1], { length: 3 }), '1', 'undefined has no form in a JSON array'],
    ['a cycle', cycle, 'self.cycle', 'it contains itself'],
    ['a key that is a symbol', { [Symbol('s')]: 1 }, '$', 'a symbol is no key in JSON'],
    ['a getter that throws', { deep: throwing }, 'deep', 'it cannot be read: not yours'],
    ['a revoked proxy', { gone: revoked.proxy }, 'gone', expect.stringContaining('it cannot be read') as never],
  ])('refuse %s with its path', (_, value, field, reason) => {
    expect(() => encodeValue(value, 'output')).toThrow(
      expect.objectContaining({ code: 'invalid_input', data: { subject: 'output', field, reason } }),
    )
  })

  it('may share parts, but not be deeper than stated', () => {
    const shared = { a: 1 }
    expect(throughJson([shared, shared])).toEqual([shared, shared])
    const nested = (depth: number): unknown => (depth === 0 ? 'end' : [nested(depth - 1)])
    expect(throughJson(nested(deepestValue))).toEqual(nested(deepestValue))
    expect(() => encodeValue(nested(deepestValue + 1), 'output')).toThrow(`nested deeper than ${deepestValue}`)
  })
})

describe('schemas', () => {
  it('give the value back as they make it', async () => {
    const schema = v.object({ count: v.pipe(v.string(), v.transform(Number)) })
    expect(await checkValue(schema, { count: '5' }, 'input')).toEqual({ count: 5 })
  })

  it('refuse with the path of the first issue', async () => {
    const schema = v.object({ list: v.array(v.object({ name: v.string() })) })
    await expect(checkValue(schema, { list: [{ name: 'a' }, { name: 5 }] }, 'input')).rejects.toMatchObject({
      code: 'invalid_input',
      data: { subject: 'input', field: 'list.1.name' },
    })
    await expect(checkValue(v.string(), 5, 'input')).rejects.toMatchObject({ data: { field: '$' } })
  })

  it('that throw, reject or complain about nothing refuse the whole', async () => {
    const schemaOf = (validate: () => never) => ({ '~standard': { version: 1, vendor: 'test', validate } }) as never
    const throwing = schemaOf(() => {
      throw new Error('broken schema')
    })
    await expect(checkValue(throwing, 1, 'input')).rejects.toMatchObject({
      code: 'invalid_input',
      data: { field: '$', reason: 'its schema threw: broken schema' },
    })
    const silent = { '~standard': { version: 1, vendor: 'test', validate: () => undefined } } as never
    await expect(checkValue(silent, 1, 'input')).rejects.toMatchObject({
      data: { field: '$', reason: 'its schema threw: it answered undefined' },
    })
    const wordless = schemaOf(() => ({ issues: [] }) as never)
    await expect(checkValue(wordless, 1, 'input')).rejects.toMatchObject({ data: { reason: 'refused by its schema' } })
  })

  const answering = (answer: unknown): Schema =>
    ({ '~standard': { version: 1, vendor: 'test', validate: () => answer } }) as never
  const trap = new Proxy({}, { get: () => expect.fail('a trap') })

  it.each([
    ['issues that are no list', { issues: 5 }],
    ['nothing for an issue', { issues: [null] }],
    ['a path with a hole', { issues: [{ message: 'odd', path: [null] }] }],
    ['words that are no text', { issues: [{ message: 5n }] }],
    ['a value that cannot be read', { value: trap }],
    ['a promise for a value', { value: Promise.resolve(1) }],
    ['a promise that is never kept', { value: new Promise(() => {}) }],
  ])('that answer %s refuse the whole', async (_, answer) => {
    const refusal = { code: 'invalid_input', data: { subject: 'input', field: '$', reason: expect.any(String) } }
    await expect(checkValue(answering(answer), 1, 'input')).rejects.toMatchObject(refusal)
  })
})
