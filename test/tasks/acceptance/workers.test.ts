import { it } from 'vitest'

it.todo('[T-80] 150 tasks with 1, 4 and 8 workers all complete, each dispatched once, nothing is left running')
it.todo('[T-81] dispatches never exceed tasks x runs x maxAttempts, for random policies')
it.todo('[T-82] one start after a long downtime promotes all overdue runs, of a partially overdue set only those due')
it.todo('[T-83] promoted runs are still ready after a crash, with the same ids')
