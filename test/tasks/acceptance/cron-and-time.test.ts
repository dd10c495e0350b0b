import { it } from 'vitest'

it.todo('[T-73] a lease is expired at exactly its expiry')
it.todo('[T-74] promotion at scheduledAt, not a second earlier')
it.todo('[T-75] repeat runs at origin + i x interval')
it.todo('[T-78] backoff doubles, caps, saturates, rounds up')
