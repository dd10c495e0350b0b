import { it } from 'vitest'

it.todo('[T-96] actor liveness at three intervals')
it.todo('[T-97] roles and capabilities')
it.todo('[T-98] ledger entries survive a restart in order')
