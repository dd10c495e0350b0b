import { describe, expect, it } from 'vitest'
import { toJsonText } from '../../src/base/json.js'
import { unsayableResults } from '../support/thrown.js'

describe('a value as JSON text', () => {
  it('is what JSON makes of it, and nothing for what it leaves out', () => {
    expect([toJsonText({ a: [1, null] }, 'output'), toJsonText(undefined, 'output')]).toEqual([
      '{"a":[1,null]}',
      undefined,
    ])
  })

  it.each(unsayableResults)('is refused with the reason for %s', (_, make, reason) => {
    expect(() => toJsonText(make(), 'output')).toThrow(
      expect.objectContaining({
        code: 'invalid_input',
        data: { subject: 'output', field: '$', reason: expect.stringContaining(`JSON cannot say it: ${reason}`) },
      }),
    )
  })
})
