import { expect, it } from 'vitest'
import { failed, succeeded, type AttemptOutcome } from '../../src/tasks/index.js'
import { openTasks, reopenTasks, stateOf, submitAll } from './support/authority.js'
import { finish, move, reach, runCreate, start, taskCreate } from './support/commands.js'
import { A1, R1, runId, T1, taskId } from './support/ids.js'

/** More than the table of runs leaves as they are. */
const many = 1_100

it.each<[string, AttemptOutcome]>([
  ['an output', succeeded(new Uint8Array([0, 255, 7]))],
  [
    'an error in any script',
    failed('не вышло \ud800', 'retryable', { reason: 'threw', cause: { name: 'E', message: '' } }),
  ],
])('[T-29] a run that has ended long ago, with %s, reads as it was, live and after opening', async (_, outcome) => {
  const tasks = await openTasks()
  await submitAll(tasks, [...reach.running, start(), finish(A1, outcome), move('running', 'completed')])
  const ended = tasks.authority.projection.run(R1)
  for (let number = 10; number < 10 + many; number += 1) {
    const [task, run] = [taskId(number), runId(number)]
    const cancelled = { type: 'run_state_transition', runId: run, newState: 'cancelled', atMs: 200 } as const
    await tasks.authority.submitBatch([
      taskCreate(task),
      runCreate(run, task),
      { ...cancelled, previousState: 'scheduled' },
    ])
  }
  const { projection } = tasks.authority
  expect(projection.run(R1)).toEqual(ended)
  expect(projection.run(R1)).not.toBe(ended)
  expect(ended).toMatchObject({ id: R1, taskId: T1, state: 'completed', attempts: [{ attemptId: A1, outcome }] })
  expect([projection.countIn('completed'), projection.countIn('cancelled')]).toEqual([1, many])
  expect([...projection.runsIn('completed')]).toEqual([ended])
  const live = stateOf(tasks)
  const reopened = await reopenTasks(tasks)
  expect(stateOf(reopened)).toEqual(live)
  expect(reopened.authority.projection.run(R1)).toEqual(ended)
  await reopened.lane.close()
})
