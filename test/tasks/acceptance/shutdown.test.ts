import { it } from 'vitest'

it.todo('[shutdown] retire lets attempts end')
it.todo('[shutdown] terminate puts attempts aside and the next process goes on')
it.todo('[shutdown] nothing is left behind')
