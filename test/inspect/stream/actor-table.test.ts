import { expect, it } from 'vitest'
import { ActorTable } from '../../../src/inspect/stream/actor-table.js'

it('remembers so much of actors in all, however few there are, those that run for longest', () => {
  const table = new ActorTable({ live: 100, ended: 100, characters: 1_000 })
  const begin = (n: number): void =>
    table.take({ type: 'actor', n, atMs: 0, actor: `a${n}`, name: 'x'.repeat(148), states: ['y'.repeat(150)] })
  for (const n of [1, 2, 3]) begin(n)
  table.take({ type: 'end', n: 4, atMs: 0, actor: 'a2', status: 'done' })
  begin(5)
  expect([...table.rows()].map(({ actor }) => actor)).toEqual(['a1', 'a3', 'a5'])
  begin(6)
  expect([...table.rows()].map(({ actor }) => actor)).toEqual(['a3', 'a5', 'a6'])
  // What goes gives its room back.
  for (const n of [7, 8, 9, 10]) begin(n)
  expect(table.size).toBe(3)
  expect(table.copy().size).toBe(3)
})
