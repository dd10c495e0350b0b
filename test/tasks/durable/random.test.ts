import fc from 'fast-check'
import { expect, it } from 'vitest'
import { budgetDimension, createRun, createTaskSpec, type TaskCommand } from '../../../src/tasks/index.js'
import { commandOf } from '../../../src/testing/tasks/intents.js'
import { isLong, timeout } from '../../journal/support/long.js'
import { attemptId, runId, taskId } from '../support/ids.js'
import { expectConsistentIndexes } from '../support/indexes.js'
import { ModelledAuthority } from '../support/modelled-authority.js'

const types = fc.constantFrom(
  ...(['step_record', 'wait_begin', 'wait_begin', 'wait_end', 'wait_end', 'attempt_wait', 'attempt_go_on'] as const),
  ...(['question_answer', 'question_answer', 'attempt_finish', 'run_state_transition', 'attempt_start'] as const),
)

const intents = fc.array(
  fc.record({
    type: types,
    // Two runs of one task, and few keys and names.
    dice: fc
      .tuple(fc.nat({ max: 1 }), fc.nat({ max: 5 }), fc.nat({ max: 11 }), fc.nat({ max: 11 }))
      .map(([b, c, d, e]) => [0, b, c, d, e]),
    isSensible: fc.boolean(),
  }),
  { minLength: 20, maxLength: 60, size: 'max' },
)

/** Two runs of one task under way, one of them leased. */
function* underWay(): Iterable<TaskCommand> {
  const atMs = 1
  yield { type: 'task_create', taskSpec: createTaskSpec({ id: taskId(1), kind: 'k' }), atMs }
  yield { type: 'budget_allocate', taskId: taskId(1), dimension: budgetDimension('token'), limit: 1000, atMs }
  for (const number of [1, 2]) {
    const id = runId(number)
    const moved = { type: 'run_state_transition', runId: id, atMs } as const
    yield { type: 'run_create', runInstance: createRun({ id, taskId: taskId(1), createdAtMs: 1, scheduledAtMs: 1 }) }
    yield { ...moved, previousState: 'scheduled', newState: 'ready' }
    yield { ...moved, previousState: 'ready', newState: 'leased' }
    const fence = number === 1 ? { fencingToken: 6 } : {}
    if (number === 1) yield { type: 'lease_acquire', runId: id, owner: 'w', expiresAtMs: 5, atMs }
    yield { ...moved, ...fence, previousState: 'leased', newState: 'running' }
    yield { type: 'attempt_start', runId: id, ...fence, attemptId: attemptId(number), atMs }
  }
}

it(
  '[T-256] random commands of durable work: the oracle agrees, and live, replay and snapshot are the same',
  async () => {
    const seen = new Map<string, number>()
    await fc.assert(
      fc.asyncProperty(intents, fc.nat({ max: 60 }), async (stream, snapshotAt) => {
        const model = await ModelledAuthority.open()
        const { oracle, live } = model
        const submit = async (command: TaskCommand): Promise<void> => {
          const what = `${command.type} ${(await model.submit(command)) ?? 'taken'}`
          seen.set(what, (seen.get(what) ?? 0) + 1)
        }
        for (const command of underWay()) await submit(command)
        for (const [index, intent] of stream.entries()) {
          await submit(commandOf(intent, oracle))
          const { projection } = live
          for (const [id, { isWaiting, steps, waits, state }] of oracle.runs) {
            const run = projection.run(id as never)
            expect({
              state: run?.state,
              isWaiting: run?.isWaiting === true,
              steps: Array.from(projection.stepsOf(id as never), ({ key }) => key),
              waits: Array.from(projection.waitsOf(id as never), ({ key, end }) => [key, end?.type]),
            }).toEqual({
              state,
              isWaiting,
              steps: [...steps],
              waits: Array.from(waits, ([key, { end }]) => [key, end]),
            })
          }
          if (index === snapshotAt) model.takeSnapshot()
        }
        const rows = [...live.capture()]
        for (const one of model.everyone) {
          expect([...one.capture()]).toEqual(rows)
          expectConsistentIndexes(one.projection)
        }
      }),
      { numRuns: isLong ? 2000 : 200 },
    )
    for (const type of ['step_record', 'wait_begin', 'wait_end', 'attempt_wait', 'attempt_go_on', 'question_answer']) {
      expect([type, (seen.get(`${type} taken`) ?? 0) > 5]).toEqual([type, true])
    }
  },
  timeout,
)
