import fc from 'fast-check'
import { produce } from 'immer'
import { expect, it } from 'vitest'
import type { OperationId } from '../../machines/operation-vocabulary.js'
import { deleteRow, liveRowsOf, rowIn, rowsIn, setRow } from '../../src/operations/live-rows.js'
import { idOf } from './support/registry.js'

interface Row {
  readonly id: OperationId
  readonly value: number
}

const rowOf = (number: number, value = 0): Row => ({ id: idOf(number), value })
const byId = (one: Row, other: Row): number => (one.id < other.id ? -1 : 1)

/** All objects of a value, rows included. */
function partsOf(value: unknown, found = new Set<unknown>()): Set<unknown> {
  if (typeof value !== 'object' || value === null) return found
  found.add(value)
  for (const part of Object.values(value)) partsOf(part, found)
  return found
}

it('live rows are what a map would be, after any changes, and a value that was handed out stays as it was', () => {
  const step = fc.record({ number: fc.nat(300), isDeletion: fc.boolean(), value: fc.nat(9) })
  fc.assert(
    fc.property(fc.array(fc.nat(300)), fc.array(fc.array(step, { maxLength: 5 })), (begin, turns) => {
      const model = new Map(begin.map((number) => [idOf(number), rowOf(number)]))
      let rows = liveRowsOf(model.values())
      for (const turn of turns) {
        const before = rows
        const text = JSON.stringify(before)
        rows = produce(rows, (draft) => {
          for (const { number, isDeletion, value } of turn) {
            if (isDeletion) deleteRow(draft, idOf(number))
            else setRow(draft, rowOf(number, value))
          }
        })
        for (const { number, isDeletion, value } of turn) {
          if (isDeletion) model.delete(idOf(number))
          else model.set(idOf(number), rowOf(number, value))
        }
        expect(JSON.stringify(before)).toBe(text)
        expect(rowsIn(rows).toSorted(byId)).toEqual([...model.values()].toSorted(byId))
        for (const { number } of turn) expect(rowIn(rows, idOf(number))).toEqual(model.get(idOf(number)))
      }
      for (const id of model.keys()) rows = produce(rows, (draft) => deleteRow(draft, id))
      expect(rows).toEqual({})
    }),
    { numRuns: 60 },
  )
})

it('a change makes few objects anew, however many rows there are', () => {
  for (const count of [10, 1000, 50_000]) {
    const rows = liveRowsOf(Array.from({ length: count }, (_, number) => rowOf(number)))
    const before = partsOf(rows)
    const after = produce(rows, (draft) => setRow(draft, rowOf(3, 1)))
    const made = [...partsOf(after)].filter((part) => !before.has(part))
    // The root, three buckets, and the row.
    expect(made).toHaveLength(5)
    const keys = made.reduce<number>((sum, part) => sum + Object.keys(part as object).length, 0)
    expect(keys).toBeLessThan(3 * 32 + 30)
  }
})
