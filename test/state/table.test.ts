import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { Table, type PendingWrite } from '../../src/state/table.js'

it('shows a write to decisions at once and to readers once committed', () => {
  const table = new Table<string, number>()
  const write = table.write('a', 1)
  expect([table.get('a'), table.latest('a')]).toEqual([undefined, 1])
  write.commit()
  expect([table.get('a'), table.latest('a')]).toEqual([1, 1])
  expect([...table.rows()]).toEqual([1])
})

it('takes writes back newest first, down to what is committed by then', () => {
  const table = new Table<string, number>()
  table.write('a', 1).commit()
  const [two, three] = [table.write('a', 2), table.write('a', 3)]
  two.commit()
  expect([table.get('a'), table.latest('a')]).toEqual([2, 3])
  three.undo()
  expect([table.get('a'), table.latest('a')]).toEqual([2, 2])
})

it('removes a row', () => {
  const table = new Table<string, number>()
  table.write('a', 1).commit()
  const removal = table.write('a', undefined)
  expect([table.get('a'), table.latest('a')]).toEqual([1, undefined])
  removal.commit()
  expect(table.size).toBe(0)
})

it('tells its listener of commits only, with the row before and after', () => {
  const listener = vi.fn()
  const table = new Table<string, number>()
  table.listen(listener)
  table.write('a', 1).undo()
  table.write('a', 2).commit()
  table.write('a', 3).commit()
  table.write('a', undefined).commit()
  expect(listener.mock.calls).toEqual([
    ['a', undefined, 2],
    ['a', 2, 3],
    ['a', 3, undefined],
  ])
})

it('sets a row at once, frozen throughout, and tells its listener', () => {
  const listener = vi.fn()
  const table = new Table<string, { readonly parts: readonly number[] }>()
  table.listen(listener)
  const row = { parts: [1] }
  table.set('a', row)
  expect([table.get('a'), table.latest('a')]).toEqual([row, row])
  expect([Object.isFrozen(row), Object.isFrozen(row.parts)]).toEqual([true, true])
  table.set('a', undefined)
  expect(table.size).toBe(0)
  expect(listener.mock.calls).toEqual([
    ['a', undefined, row],
    ['a', row, undefined],
  ])
})

it('agrees with replaying the surviving writes, for any mix of commits in order and undos in reverse', () => {
  const step = fc.record({
    key: fc.constantFrom('a', 'b'),
    row: fc.option(fc.nat(9), { nil: undefined }),
    settle: fc.nat(4),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const table = new Table<string, number>()
      const committed = new Map<string, number | undefined>()
      let open: { key: string; row: number | undefined; write: PendingWrite }[] = []
      const check = (): void => {
        for (const key of ['a', 'b']) {
          expect(table.get(key)).toBe(committed.get(key))
          const newest = open.filter((entry) => entry.key === key).at(-1)
          expect(table.latest(key)).toBe(newest === undefined ? committed.get(key) : newest.row)
        }
      }
      for (const { key, row, settle } of steps) {
        open.push({ key, row, write: table.write(key, row) })
        check()
        if (settle === 1) {
          const oldest = open.shift()
          oldest?.write.commit()
          if (oldest !== undefined) committed.set(oldest.key, oldest.row)
        }
        if (settle === 2) {
          for (const entry of open.toReversed()) entry.write.undo()
          open = []
        }
        check()
      }
    }),
    { numRuns: 200 },
  )
})

describe('rows that have settled', () => {
  interface Row {
    readonly isDone: boolean
    readonly parts: readonly { readonly at: number }[]
  }
  const done = (at: number): Row => ({ isDone: true, parts: [{ at }, { at: at + 1_700_000_000_000 }] })
  const many = 5_000
  const filled = (): Table<string, Row> => {
    const table = new Table<string, Row>({ isSettled: ({ isDone }) => isDone })
    for (let index = 0; index < many; index += 1) table.set(`row ${index}`, done(index))
    return table
  }

  it('read as they were, in their order, from both layers', () => {
    const table = filled()
    expect(table.size).toBe(many)
    expect([table.get('row 0'), table.latest('row 0'), table.get('row 4999')]).toEqual([done(0), done(0), done(4999)])
    expect([...table.rows()]).toEqual(Array.from({ length: many }, (_, index) => done(index)))
    expect(table.get('row 5000')).toBeUndefined()
  })

  it('are copies once they are old, so that nothing keeps them in memory, and themselves while they are new', () => {
    const table = filled()
    expect(table.get('row 0')).not.toBe(table.get('row 0'))
    expect(table.get('row 4999')).toBe(table.get('row 4999'))
  })

  it('may still change or go, and their listener is told of what was there', () => {
    const table = filled()
    const told: unknown[] = []
    table.listen((key, before, after) => void told.push([key, before, after]))
    const open = { isDone: false, parts: [] }
    table.write('row 1', open).commit()
    table.set('row 2', undefined)
    expect(told).toEqual([
      ['row 1', done(1), open],
      ['row 2', done(2), undefined],
    ])
    expect([table.get('row 1'), table.get('row 2'), table.size]).toEqual([open, undefined, many - 1])
  })

  it('that have opened again are not packed', () => {
    const table = filled()
    const open = { isDone: false, parts: [] }
    table.set('row 4999', open)
    for (let index = 0; index < many; index += 1) table.set(`later ${index}`, done(index))
    expect(table.get('row 4999')).toBe(open)
  })

  it('are captured as they are now, whatever becomes of them while they are read', () => {
    const table = filled()
    const captured = table.captured()
    table.set('row 0', undefined)
    table.set('row 3', { isDone: false, parts: [] })
    expect(captured.count).toBe(many)
    expect([...captured.rows()]).toEqual(Array.from({ length: many }, (_, index) => done(index)))
  })
})
