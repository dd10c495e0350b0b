import fc from 'fast-check'
import { expect, it } from 'vitest'
import { budgetDimension, runStates, type TaskAuthority } from '../../src/tasks/index.js'
import { isLong, timeout } from '../journal/support/long.js'
import { expectConsistentIndexes } from './support/indexes.js'
import { taskId } from './support/ids.js'
import { ModelledAuthority } from './support/modelled-authority.js'
import { commandOf, intentSteps } from '../../src/testing/tasks/intents.js'
import type { TasksOracle } from '../../src/testing/tasks/oracle.js'

/** Streams of intents, shrinking towards few and small ones. */
const intents = fc.array(fc.oneof(...intentSteps(fc).map(([weight, arbitrary]) => ({ weight, arbitrary }))), {
  minLength: 30,
  maxLength: 120,
  size: 'max',
})

it(
  '[T-29] random commands: the oracle agrees, and live equals replay at every prefix',
  async () => {
    const refused = new Set<string>()
    const reached = new Set<string>()
    const taken = new Set<string>()
    await fc.assert(
      fc.asyncProperty(intents, fc.nat({ max: 60 }), async (stream, snapshotAt) => {
        const model = await ModelledAuthority.open()
        const { oracle, live, replica } = model
        for (const [index, intent] of stream.entries()) {
          const command = commandOf(intent, oracle)
          const refusal = await model.submit(command)
          if (refusal !== undefined) refused.add(refusal)
          else taken.add(command.type)
          expectSameState(live, oracle)
          expect([...replica.capture()]).toEqual([...live.capture()])
          if (index === snapshotAt) model.takeSnapshot()
        }
        for (const { history } of oracle.runs.values()) for (const state of history) reached.add(state)
        const rows = [...live.capture()]
        for (const one of model.everyone) {
          expect([...one.capture()]).toEqual(rows)
          expectConsistentIndexes(one.projection)
        }
      }),
      { numRuns: isLong ? 3000 : 50 },
    )
    expect([...reached].sort()).toEqual([...runStates].sort())
    expect([...taken]).toEqual(expect.arrayContaining(['attempt_begin', 'attempt_end']))
    expect(refused.size).toBeGreaterThan(25)
  },
  timeout,
)

function expectSameState({ projection }: TaskAuthority, oracle: TasksOracle): void {
  expect(projection.latestSequence).toBe(oracle.sequence)
  expect(projection.engine.paused).toBe(oracle.paused !== undefined)
  for (const [id, model] of oracle.runs) {
    const run = projection.run(id as never)
    expect({
      state: run?.state,
      attempt: run?.currentAttemptId,
      attempts: run?.attempts.map(({ attemptId }) => attemptId as string),
      lease: run?.lease && {
        owner: run.lease.owner,
        expiresAtMs: run.lease.expiresAtMs,
        token: run.lease.fencingToken,
      },
      history: run?.history.map(({ to }) => to),
      isWaiting: run?.isWaiting === true,
      steps: Array.from(projection.stepsOf(id as never), ({ key }) => key),
      waits: Array.from(projection.waitsOf(id as never), ({ key, end }) => [key, end?.type]),
    }).toEqual({
      state: model.state,
      attempt: model.attempt,
      attempts: model.attempts,
      lease: model.lease,
      history: model.history,
      isWaiting: model.isWaiting,
      steps: [...model.steps],
      waits: Array.from(model.waits, ([key, { end }]) => [key, end]),
    })
  }
  for (const number of [1, 2, 3, 4]) {
    const id = taskId(number)
    expect(projection.dependencyGate(id)).toBe(oracle.gate(id))
    for (const dimension of ['token', 'time:ms'].map(budgetDimension)) {
      const model = oracle.budgets.get(id)?.get(dimension)
      const budget = projection.budget(id, dimension)
      expect(budget && { limit: budget.limit, consumed: budget.consumed, reserved: budget.reserved }).toEqual(model)
      if (model !== undefined) expect(budget?.exhausted).toBe(model.consumed >= model.limit)
    }
  }
  expect([...projection.reservations()].map(({ reservationId }) => reservationId as string)).toEqual([
    ...oracle.reservations.keys(),
  ])
  expect([...projection.ledger()].map(({ entryId }) => entryId as string)).toEqual(oracle.entries)
}
