import { it } from 'vitest'

it.todo('[T-101] what a crash left is recovered exactly, three crashes in a row included')
it.todo(
  '[kill] kill -9 at random points until done: one terminal state per run, attempts capped, leases fenced, budgets balanced',
)
