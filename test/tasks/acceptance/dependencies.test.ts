import { it } from 'vitest'

it.todo('[T-91] a linear graph runs in order, a failed root cancels the chain, cycles leave no trace')
it.todo('[T-92] a restart between prerequisite and dependent, and a late declaration')
