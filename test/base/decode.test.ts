import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { decode, decodeJson } from '../../src/base/decode.js'

const plan = v.object({ tools: v.array(v.object({ command: v.string(), timeoutMs: v.optional(v.number()) })) })

describe('decode', () => {
  it('returns what fits and leaves the input alone', () => {
    const input = Object.freeze({ tools: Object.freeze([Object.freeze({ command: 'ls', surplus: 1 })]) })
    expect(decode(plan, input, 'plan file')).toEqual({ tools: [{ command: 'ls' }] })
    expect(input.tools[0]).toEqual({ command: 'ls', surplus: 1 })
  })

  it.each([
    [{ tools: [{ command: 'ls' }, { command: 7 }] }, 'tools.1.command'],
    [{ tools: [{ command: 'ls', timeoutMs: 'soon' }] }, 'tools.0.timeoutMs'],
    [{}, 'tools'],
    [null, '$'],
  ])('refuses %j, naming the field', (input, field) => {
    expect(() => decode(plan, input, 'plan file')).toThrow(
      expect.objectContaining({
        code: 'invalid_input',
        data: { subject: 'plan file', field, reason: expect.any(String) },
        message: expect.stringContaining(`invalid plan file: ${field}: `),
      }),
    )
  })
})

describe('decoding what throws when it is read', () => {
  it('is refused like everything else that does not fit', () => {
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    expect(() => decode(v.number(), proxy, 'amount')).toThrow(
      expect.objectContaining({
        code: 'invalid_input',
        data: { subject: 'amount', field: '$', reason: expect.stringContaining('cannot be read') },
      }),
    )
  })
})

describe('decodeJson', () => {
  const limits = { subject: 'plan file', maxBytes: 40 }

  it('parses and decodes', () => {
    expect(decodeJson(plan, '{"tools":[{"command":"ls"}]}', limits)).toEqual({ tools: [{ command: 'ls' }] })
  })

  it('counts bytes, not characters, and refuses before parsing', () => {
    expect(decodeJson(v.string(), `"${'x'.repeat(38)}"`, limits)).toHaveLength(38)
    expect(() => decodeJson(v.string(), `"${'é'.repeat(20)}"`, limits)).toThrow(
      expect.objectContaining({
        code: 'invalid_input',
        data: expect.objectContaining({ reason: '42 bytes exceed the limit of 40' }),
      }),
    )
  })

  it('says when the text is no JSON, and keeps the cause', () => {
    expect(() => decodeJson(plan, '{"tools":', limits)).toThrow(
      expect.objectContaining({
        code: 'invalid_input',
        data: expect.objectContaining({ field: '$', reason: expect.stringContaining('not JSON') }),
        cause: expect.any(SyntaxError),
      }),
    )
  })

  it('never lets a prototype key reach a prototype', () => {
    const text = '{"__proto__":{"stained":true}}'
    const decoded = decodeJson(v.looseObject({}), text, limits)
    expect('stained' in decoded).toBe(false)
    expect('stained' in {}).toBe(false)
  })
})
