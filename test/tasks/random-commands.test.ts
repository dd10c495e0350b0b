import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { JsonObject } from '../../src/base/json.js'
import { budgetDimension, runStates, TaskAuthority, type CommandType } from '../../src/tasks/index.js'
import { taskCatalogue } from '../../src/tasks/catalogue.js'
import { Lane } from '../../src/lane/lane.js'
import { isLong, timeout } from '../journal/support/long.js'
import { expectConsistentIndexes } from './support/indexes.js'
import { taskId } from './support/ids.js'
import { commandOf, intentSteps } from '../../src/testing/tasks/intents.js'
import { TasksOracle } from '../../src/testing/tasks/oracle.js'

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
        const oracle = new TasksOracle()
        const authority = new TaskAuthority()
        authority.start(await Lane.open({ streamFor: () => authority }))
        const replica = new TaskAuthority()
        let fromSnapshot: TaskAuthority | undefined
        authority.onCommit(({ events }) => {
          for (const event of events) {
            const stored = JSON.parse(JSON.stringify(taskCatalogue.encode(event))) as JsonObject
            replica.replay(stored)
            fromSnapshot?.replay(stored)
          }
        })
        for (const [index, intent] of stream.entries()) {
          const command = commandOf(intent, oracle)
          const expected = oracle.submit(command)
          const actual = await authority.submit<CommandType>(command).then(
            () => undefined,
            (error: unknown) => (error as { readonly code: string }).code,
          )
          expect({ command, refusal: actual }).toEqual({ command, refusal: expected })
          if (actual !== undefined) refused.add(actual)
          else taken.add(command.type)
          expectSameState(authority, oracle)
          expect([...replica.capture()]).toEqual([...authority.capture()])
          if (index === snapshotAt) fromSnapshot = restored(authority)
        }
        for (const { history } of oracle.runs.values()) for (const state of history) reached.add(state)
        expectConsistentIndexes(authority.projection)
        expectConsistentIndexes(replica.projection)
        if (fromSnapshot !== undefined) {
          expect([...fromSnapshot.capture()]).toEqual([...authority.capture()])
          expectConsistentIndexes(fromSnapshot.projection)
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

function restored(authority: TaskAuthority): TaskAuthority {
  const copy = new TaskAuthority()
  for (const row of authority.capture()) copy.restore(JSON.parse(JSON.stringify(row)) as JsonObject)
  return copy
}

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
