import { it } from 'vitest'

it.todo('[T-84] two runs with one key never overlap, with different keys they may, failure releases the key')
it.todo('[T-85] a suspended run keeps its key under hold_during_retry and frees it under release_on_retry')
it.todo('[T-86] the same holds across a restart')
it.todo('[T-87] a waiting run with a key resumes and completes')
