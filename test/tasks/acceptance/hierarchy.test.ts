import { it } from 'vitest'

it.todo('[T-93] canceling a parent cancels unfinished children, terminal parents and too much depth are refused')
it.todo('[T-94] submissions of a handler become children and run to the end')
it.todo('[T-100] runs of a canceled task never start, even with a crash in between')
