import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { CommandType, TaskCommand } from '../../src/tasks/index.js'
import { openTasks, stateOf } from './support/authority.js'
import { allocate, cancel, consume, move, runCreate, taskCreate } from './support/commands.js'
import { expectConsistentIndexes } from './support/indexes.js'
import { runId, taskId } from './support/ids.js'

type Step =
  | { readonly type: 'submit'; readonly command: TaskCommand }
  | { readonly type: 'batch'; readonly commands: readonly TaskCommand[] }
  | { readonly type: 'fail'; readonly stage: 'write' | 'sync' }
  | { readonly type: 'settle' }

const number = fc.integer({ min: 1, max: 3 })
const command: fc.Arbitrary<TaskCommand> = fc.oneof(
  number.map((task) => taskCreate(taskId(task))),
  fc.tuple(number, number).map(([run, task]) => runCreate(runId(run), taskId(task))),
  number.map((run) => move('scheduled', 'ready', { runId: runId(run) })),
  number.map((run) => move('ready', 'scheduled', { runId: runId(run) })),
  number.map((task) => allocate(100, taskId(task))),
  number.map((task) => consume(3, taskId(task))),
  number.map((task) => cancel(taskId(task))),
)
const step: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: command.map((one): Step => ({ type: 'submit', command: one })), weight: 8 },
  {
    arbitrary: fc.array(command, { minLength: 1, maxLength: 4 }).map((commands): Step => ({ type: 'batch', commands })),
    weight: 3,
  },
  {
    arbitrary: fc.constantFrom('write' as const, 'sync' as const).map((stage): Step => ({ type: 'fail', stage })),
    weight: 1,
  },
  { arbitrary: fc.constant<Step>({ type: 'settle' }), weight: 2 },
)

it('[T-28, T-29] concurrent submits over a failing journal: what was acknowledged is there, and nothing else', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40, size: 'max' }), async (steps) => {
      const tasks = await openTasks()
      const { authority, lane, store } = tasks
      let acknowledged = 0
      const told: number[] = []
      authority.onCommit(({ events }) => {
        for (const { sequence } of events) told.push(sequence)
      })
      const track = (submitted: Promise<unknown>, count: number): Promise<void> =>
        submitted.then(
          () => {
            acknowledged += count
          },
          () => undefined,
        )
      let underWay: Promise<void>[] = []
      for (const next of steps) {
        if (next.type === 'submit') underWay.push(track(authority.submit<CommandType>(next.command), 1))
        if (next.type === 'batch') underWay.push(track(authority.submitBatch(next.commands), next.commands.length))
        if (next.type === 'fail') store.failNext(next.stage)
        if (next.type !== 'settle') continue
        await Promise.all(underWay)
        underWay = []
        if (lane.health.status === 'poisoned') await lane.reopen()
      }
      await Promise.all(underWay)
      if (lane.health.status === 'poisoned') await lane.reopen()
      expect(authority.projection.latestSequence).toBe(acknowledged)
      expect(told).toEqual(Array.from({ length: acknowledged }, (_, index) => index + 1))
      expectConsistentIndexes(authority.projection)
      const live = stateOf(tasks)
      await lane.close()
      const again = await openTasks(store)
      expect(stateOf(again)).toEqual(live)
      await again.lane.close()
    }),
    { numRuns: process.env['STATEWARD_LONG'] === undefined ? 100 : 5000 },
  )
})
