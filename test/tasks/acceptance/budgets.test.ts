import { it } from 'vitest'

it.todo('[T-88] an exhausted budget leaves the run ready, replenish lets it finish, numbers survive a restart')
it.todo('[T-89] a resumed run with an exhausted budget waits in ready')
it.todo('[T-90] completion, threshold and custom events release a run that is scheduled far ahead')
it.todo('[budgets] reserve before, settle after, release on failure')
it.todo('[budgets] a tree of tasks shares a budget')
it.todo('[budgets] exhaustion suspends and replenish resumes')
it.todo('[budgets] concurrent attempts never spend past the budget')
