import { expect, it } from 'vitest'
import { openTasks, reopenTasks, submitAll, expectRefusal } from './support/authority.js'
import { depend, taskCreate } from './support/commands.js'
import { T1, T2, T3 } from './support/ids.js'

const three = [taskCreate(T1), taskCreate(T2), taskCreate(T3)]

it('[T-133] finds a cycle that declarations of one batch would close', async () => {
  const tasks = await openTasks()
  await submitAll(tasks, three)
  const batch = tasks.authority.submitBatch([depend(T1, T2), depend(T2, T3), depend(T3, T1)])
  await expectRefusal(batch, 'dependency_cycle', { taskId: T3, cycleThrough: T1 })
  expect([T1, T2, T3].map((id) => tasks.authority.projection.prerequisites(id))).toEqual([[], [], []])
})

it('[T-133] forgets the declarations of a refused batch: their opposite is no cycle', async () => {
  const tasks = await openTasks()
  await submitAll(tasks, three)
  await expectRefusal(tasks.authority.submitBatch([depend(T1, T2), depend(T2, T2)]), 'dependency_cycle', {
    taskId: T2,
    cycleThrough: T2,
  })
  await tasks.authority.submit(depend(T2, T1))
  await expectRefusal(tasks.authority.submit(depend(T1, T2)), 'dependency_cycle', { taskId: T1, cycleThrough: T2 })
})

it('[T-133] finds a cycle through what a snapshot brought back', async () => {
  const tasks = await openTasks()
  await submitAll(tasks, [...three, depend(T1, T2), depend(T2, T3)])
  await tasks.lane.compact()
  const { authority } = await reopenTasks(tasks)
  await expectRefusal(authority.submit(depend(T3, T1)), 'dependency_cycle', { taskId: T3, cycleThrough: T1 })
})

it('[T-133] names the first prerequisite that leads back, also behind others that share its way', async () => {
  const tasks = await openTasks()
  await submitAll(tasks, [...three, depend(T2, T1)])
  await expectRefusal(tasks.authority.submit(depend(T1, T3, T2)), 'dependency_cycle', { taskId: T1, cycleThrough: T2 })
})
