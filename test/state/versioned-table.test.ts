import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { VersionedTable } from '../../src/state/versioned-table.js'

interface Row {
  readonly value: number
}

const key = fc.integer({ min: 0, max: 400 }).map((number) => number.toString(16).padStart(4, '0'))
const change = fc.record({ key, value: fc.option(fc.nat(9), { nil: undefined }) })
/** Many changes at once, and then few at a time: the former make every page anew, the latter change some. */
const passes = fc
  .tuple(
    fc.oneof(fc.constant([]), fc.array(change, { minLength: 200, maxLength: 400 })),
    fc.array(fc.array(change, { maxLength: 30, size: 'max' }), { maxLength: 12, size: 'max' }),
  )
  .map(([many, few]) => [many, ...few])

describe('a versioned table', () => {
  it('holds what a map would, in the order of its keys, and old versions stay as they were', () => {
    fc.assert(
      fc.property(passes, (rounds) => {
        const table = new VersionedTable<string, Row>()
        const model = new Map<string, Row>()
        const held: [version: ReadonlyMap<string, Row>, rows: [string, Row][]][] = []
        for (const round of rounds) {
          for (const { key: name, value } of round) {
            if (value === undefined) {
              table.delete(name)
              model.delete(name)
            } else {
              table.set(name, { value })
              model.set(name, { value })
            }
            expect(table.get(name)).toEqual(model.get(name))
          }
          const version = table.version()
          expect(table.version()).toBe(version)
          held.push([version, [...model].sort(([one], [other]) => (one < other ? -1 : 1))])
        }
        for (const [version, rows] of held) {
          expect([...version]).toEqual(rows)
          expect(version.size).toBe(rows.length)
          expect([...version.keys()]).toEqual(rows.map(([name]) => name))
          expect([...version.values()]).toEqual(rows.map(([, row]) => row))
          const visited: [string, Row][] = []
          version.forEach((row, name) => visited.push([name, row]))
          expect(visited).toEqual(rows)
          for (const [name, row] of rows) {
            expect(version.get(name)).toEqual(row)
            expect(version.has(name)).toBe(true)
          }
          expect(version.has('zzzz')).toBe(false)
          expect(version.get('')).toBeUndefined()
        }
      }),
      { numRuns: 25 },
    )
  })

  it('freezes its rows throughout, and shares those that stay', () => {
    const table = new VersionedTable<string, { readonly inner: { readonly value: number } }>()
    for (let index = 0; index < 1000; index += 1) table.set(`${index + 1000}`, { inner: { value: index } })
    const before = table.version()
    table.set('1500', { inner: { value: -1 } })
    const after = table.version()
    expect(Object.isFrozen(after.get('1500')?.inner)).toBe(true)
    expect(before.get('1500')).toEqual({ inner: { value: 500 } })
    expect(after.get('1501')).toBe(before.get('1501'))
  })

  it('forgets everything at once', () => {
    const table = new VersionedTable<string, Row>()
    table.set('a', { value: 1 })
    const before = table.version()
    table.clear()
    expect([...table.version()]).toEqual([])
    expect(before.size).toBe(1)
  })
})
