import { expect, it } from 'vitest'
import { deepFreeze } from '../../src/base/freeze.js'

it('freezes objects and arrays throughout, and returns what it was given', () => {
  const value = { list: [{ name: 'one' }], nothing: null, number: 1, nested: { deep: { deeper: true } } }
  expect(deepFreeze(value)).toBe(value)
  for (const part of [value, value.list, value.list[0], value.nested, value.nested.deep]) {
    expect(Object.isFrozen(part)).toBe(true)
  }
})

it('goes no further where something is frozen already, and leaves bytes alone', () => {
  const inner = { changes: 1 }
  const bytes = new Uint8Array(1)
  deepFreeze({ kept: Object.freeze({ inner }), bytes })
  inner.changes = 2
  bytes[0] = 2
  expect([inner.changes, bytes[0]]).toEqual([2, 2])
})
