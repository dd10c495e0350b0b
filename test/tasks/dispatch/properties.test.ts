import fc from 'fast-check'
import { expect, it } from 'vitest'
import { budgetDimension, suspend, TerminalFailure, type RunId, type TaskId } from '../../../src/tasks/index.js'
import { isLong, timeout } from '../../journal/support/long.js'
import { openRoom, type Room } from './support/room.js'

const token = budgetDimension('token')

interface PlannedTask {
  readonly dependsOn: readonly number[]
  readonly parent: number | undefined
  readonly budget: number | undefined
  readonly key: string | undefined
  readonly maxAttempts: number
  readonly runs: number
  /** What each attempt does, by its place; then all goes well. */
  readonly script: readonly ('ok' | 'fail' | 'hopeless' | 'suspend' | 'spend' | 'submit')[]
}

/** A task refers only to earlier ones, so that there are no cycles. */
function plannedTask(index: number): fc.Arbitrary<PlannedTask> {
  const earlier = index === 0 ? fc.constant([]) : fc.uniqueArray(fc.nat({ max: index - 1 }), { maxLength: 2 })
  return fc.record({
    dependsOn: earlier,
    parent: index === 0 ? fc.constant(undefined) : fc.option(fc.nat({ max: index - 1 }), { nil: undefined }),
    budget: fc.option(fc.integer({ min: 5, max: 60 }), { nil: undefined }),
    key: fc.constantFrom(undefined, undefined, 'a', 'b'),
    maxAttempts: fc.integer({ min: 1, max: 3 }),
    runs: fc.integer({ min: 1, max: 2 }),
    script: fc.array(fc.constantFrom('ok', 'fail', 'hopeless', 'suspend', 'spend', 'submit'), {
      minLength: 1,
      maxLength: 3,
    }),
  })
}

const plan = fc
  .integer({ min: 1, max: 7 })
  .chain((size) => fc.tuple(...Array.from({ length: size }, (_, index) => plannedTask(index))))

/** What the process does between seconds. */
const disturbance = fc.constantFrom('nothing', 'nothing', 'crash', 'cancel', 'pause')

interface Observed {
  readonly calls: Map<RunId, number>
  readonly tokens: Map<RunId, number[]>
  readonly inside: Map<string, number>
  readonly problems: string[]
}

function handle(room: Room, planned: readonly PlannedTask[], observed: Observed): void {
  room.tasks.handle('child', () => 'ok')
  room.tasks.handle('work', async ({ runId, json, fencingToken, budget, submit, task }) => {
    const { script } = planned[json() as number] as PlannedTask
    const call = observed.calls.get(runId) ?? 0
    observed.calls.set(runId, call + 1)
    observed.tokens.set(runId, [...(observed.tokens.get(runId) ?? []), fencingToken])
    const key = task.constraints.concurrencyKey
    if (key !== undefined) {
      const inside = (observed.inside.get(key) ?? 0) + 1
      observed.inside.set(key, inside)
      if (inside > 1) observed.problems.push(`two runs are inside key ${key}`)
    }
    try {
      await Promise.resolve()
      switch (script[call]) {
        case 'fail':
          throw new Error('no')
        case 'hopeless':
          throw new TerminalFailure('never')
        case 'suspend':
          return suspend(call)
        case 'spend': {
          const spending = await budget.reserve(token, 8)
          await spending.settle(7)
          return 'ok'
        }
        case 'submit':
          await submit({ kind: 'child' })
          return 'ok'
        default:
          return 'ok'
      }
    } finally {
      if (key !== undefined) observed.inside.set(key, (observed.inside.get(key) ?? 1) - 1)
    }
  })
}

function check(room: Room, planned: readonly PlannedTask[], ids: readonly TaskId[], observed: Observed): string[] {
  const { projection } = room.authority
  const problems = [...observed.problems]
  for (const [index, id] of ids.entries()) {
    const { maxAttempts, dependsOn } = planned[index] as PlannedTask
    for (const run of projection.runsOf(id)) {
      const counted = run.attempts.filter(({ outcome }) => outcome?.result !== 'suspended').length
      if (counted > maxAttempts) problems.push(`run of ${index} had ${counted} attempts of ${maxAttempts}`)
      const ended = run.history.filter(({ to }) => to === 'completed' || to === 'failed' || to === 'cancelled').length
      if (ended > 1) problems.push(`run of ${index} ended ${ended} times`)
      if (run.attempts.length === 0) continue
      const unmet = dependsOn.filter(
        (other) => !projection.runsOf(ids[other] as TaskId).some(({ state }) => state === 'completed'),
      )
      if (unmet.length > 0) problems.push(`run of ${index} started before ${unmet.join()} had completed`)
    }
    const budget = projection.budget(id, token)
    if (budget !== undefined && budget.consumed + budget.reserved > budget.limit)
      problems.push(`budget of ${index} is exceeded`)
  }
  for (const [run, tokens] of observed.tokens) {
    if (tokens.some((value, place) => place > 0 && value <= (tokens[place - 1] as number)))
      problems.push(`tokens of ${run}: ${tokens.join()}`)
  }
  return problems
}

/** Lets everything go on that waits for somebody. */
async function release(room: Room): Promise<void> {
  await room.tasks.resumeEngine()
  const suspended = Array.from(room.authority.projection.runsIn('suspended'))
  for (const run of suspended) {
    const isOutOfBudget = run.history.at(-1)?.reason === 'budget_exhausted'
    if (!isOutOfBudget) await room.tasks.resume(run.id).catch(() => {})
    else {
      for (
        let next: TaskId | undefined = run.taskId;
        next !== undefined;
        next = room.authority.projection.task(next)?.spec.parentTaskId
      ) {
        const { limit } = room.authority.projection.budget(next, token) ?? {}
        if (limit !== undefined) await room.tasks.replenish(next, token, limit + 50)
      }
    }
  }
}

it('[T-171] any graph ends: every run once, within its attempts, keys, dependencies and budgets, whatever happens on the way', {
  timeout,
}, async () => {
  await fc.assert(
    fc.asyncProperty(plan, fc.array(disturbance, { maxLength: 8 }), async (planned, disturbances) => {
      const observed: Observed = { calls: new Map(), tokens: new Map(), inside: new Map(), problems: [] }
      let room = await openRoom({ dispatch: { concurrency: 3, backoff: { type: 'fixed', delayMs: 1000 } } })
      handle(room, planned, observed)
      const graph = Object.fromEntries(
        planned.map((task, index) => [
          `t${index}`,
          {
            kind: 'work',
            payload: index,
            constraints: { maxAttempts: task.maxAttempts, ...(task.key !== undefined && { concurrencyKey: task.key }) },
            runPolicy: { type: 'repeat', count: task.runs, intervalMs: 1000 } as const,
            dependsOn: task.dependsOn.map((other) => `t${other}`),
            ...(task.parent !== undefined && { parent: `t${task.parent}` }),
            ...(task.budget !== undefined && { budgets: { token: task.budget } }),
          },
        ]),
      )
      const named = await room.tasks.submitGraph(graph)
      const ids = planned.map((_, index) => named[`t${index}`] as TaskId)
      for (const [index, what] of disturbances.entries()) {
        if (what === 'crash') {
          observed.inside.clear()
          room = await room.crash()
          handle(room, planned, observed)
        }
        if (what === 'cancel') await room.tasks.cancel(ids[index % ids.length] as TaskId)
        if (what === 'pause') await room.tasks.pauseEngine()
        await room.pass(1)
        expect(check(room, planned, ids, observed)).toEqual([])
        if (what === 'pause') await room.tasks.resumeEngine()
      }
      for (let round = 0; round < 12; round += 1) {
        await release(room)
        await room.pass(3)
      }
      expect(check(room, planned, ids, observed)).toEqual([])
      const open = (['ready', 'leased', 'running', 'retry_wait', 'scheduled'] as const).map((state) =>
        room.authority.projection.countIn(state),
      )
      expect(open).toEqual([0, 0, 0, 0, 0])
      expect([...room.authority.projection.reservations()]).toEqual([])
    }),
    { numRuns: isLong ? 3000 : 60 },
  )
})
