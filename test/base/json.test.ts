import { expect, it } from 'vitest'
import { canonicalText } from '../../src/base/json.js'

it('equal values have one text, whatever the order of their keys', () => {
  const one = { b: [1, { d: null, c: 'x' }], a: true }
  expect(canonicalText(one)).toBe('{"a":true,"b":[1,{"c":"x","d":null}]}')
  expect(canonicalText({ a: true, b: [1, { c: 'x', d: null }] })).toBe(canonicalText(one))
  expect(canonicalText({ a: [2, 1] })).not.toBe(canonicalText({ a: [1, 2] }))
})
