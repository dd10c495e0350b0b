import { expect, it } from 'vitest'
import { checkFencing } from '../../src/state/lease.js'

it.each([
  [undefined, undefined, true, 'permitted'],
  [undefined, undefined, false, 'permitted'],
  [7, undefined, true, 'token_required'],
  [7, undefined, false, 'permitted'],
  [7, 7, true, 'permitted'],
  [7, 7, false, 'permitted'],
  [7, 6, true, 'token_superseded'],
  [7, 8, false, 'token_superseded'],
  [undefined, 7, true, 'token_superseded'],
  [undefined, 7, false, 'token_superseded'],
])('a lease with token %s and a write with %s, required %s: %s', (held, provided, isRequired, expected) => {
  const lease = held === undefined ? undefined : { fencingToken: held }
  expect(checkFencing(lease, provided, { isRequired })).toBe(expected)
})
