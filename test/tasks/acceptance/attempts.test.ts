import { it } from 'vitest'

it.todo('[T-77] n attempts never exceed maxAttempts, suspended ones do not count')
it.todo('[T-87] suspend with maxAttempts 1, resume, succeed')
it.todo('[T-95] lineage of attempts, equal after a restart')
it.todo('[T-99] runs left leased or running by a crash are dispatched again')
it.todo('[D-28] a superseded worker is refused and its signal aborts')
