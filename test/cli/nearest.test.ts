import { describe, expect, it } from 'vitest'
import { nearest } from '../../src/cli/nearest.js'

describe('the nearest known word', () => {
  const known = ['name', 'needs', 'timeoutMs', 'if', 'retries', 'env']

  it.each([
    ['nam', 'name'],
    ['nmae', 'name'],
    ['NAME', 'name'],
    ['timeout', 'timeoutMs'],
    ['retrys', 'retries'],
    ['evn', 'env'],
    ['iff', 'if'],
    ['colour', undefined],
    ['', undefined],
    ['needs'.repeat(20), undefined],
  ])('to %j is %j', (word, expected) => {
    expect(nearest(word, known)).toBe(expected)
  })
})
