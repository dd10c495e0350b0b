import { expect, it } from 'vitest'
import type { RunId, TaskId } from '../../src/tasks/ids.js'
import { RunsByTask } from '../../src/tasks/runs-by-task.js'

const [task, other] = ['task' as TaskId, 'other' as TaskId]
const [one, two, three] = ['1' as RunId, '2' as RunId, '3' as RunId]

it('lists the runs of a task as soon as they are staged', () => {
  const runs = new RunsByTask()
  expect(runs.of(task)).toEqual([])
  runs.add(task, one)
  runs.add(other, two)
  runs.add(task, three).commit()
  expect([runs.of(task), runs.of(other)]).toEqual([[one, three], [two]])
})

it('forgets a run that is taken back and keeps those staged before and after it', () => {
  const runs = new RunsByTask()
  const [first, second, third] = [runs.add(task, one), runs.add(task, two), runs.add(task, three)]
  second.undo()
  expect(runs.of(task)).toEqual([one, three])
  third.undo()
  first.undo()
  expect(runs.of(task)).toEqual([])
})
