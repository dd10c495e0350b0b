/**
 * Runs tasks until it is killed: `task-service.js DIRECTORY MODE`. Submits a graph with budgets whenever all that it has
 * submitted is over; with MODE `finish` it submits nothing more and ends with 0 once everything is over. Says what it
 * sees, a line each: `begin RUN ATTEMPT TOKEN`, `settled RUN AMOUNT` and `outcome TASK STATUS`, the last two only after
 * they were acknowledged.
 */
import { writeSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { createDirectoryJournal } from '../../../../src/journal/directory-journal.js'
import { createRuntime } from '../../../../src/runtime.js'
import { suspend, TerminalFailure, type HandlerContext, type RunId } from '../../../../src/tasks/index.js'

const [directory = '', mode = 'work'] = process.argv.slice(2)
const say = (...words: readonly unknown[]): void => void writeSync(1, `${words.join(' ')}\n`)

const store = createDirectoryJournal({ directory, segmentBytes: 64 * 1024 })
const { tasks } = await createRuntime({
  store,
  tasks: { concurrency: 4, leaseSecs: 3, backoff: { type: 'fixed', delayMs: 0 } },
})

/** What an attempt does depends on its run alone, so that every restart meets the same. */
function traitOf(runId: RunId): number {
  return Number.parseInt(runId.slice(-4), 16)
}

async function work({ runId, attemptId, attemptNumber, fencingToken, resumeFrom, budget, signal }: HandlerContext) {
  say('begin', runId, attemptId, fencingToken)
  const trait = traitOf(runId)
  for (let call = 0; call < 3; call += 1) {
    const spending = await budget.reserve('token', 10)
    await delay(1 + (trait % 3))
    signal.throwIfAborted()
    const spent = 1 + ((trait + call) % 10)
    await spending.settle(spent)
    say('settled', runId, spent)
  }
  if (trait % 7 === 0) throw new TerminalFailure('hopeless')
  if (trait % 3 === 0 && attemptNumber === 1) throw new Error('the first attempt always fails')
  if (trait % 5 === 0 && resumeFrom === undefined) return suspend({ trait })
  budget.report('token', 1)
  return { runId, attemptNumber }
}

const constraints = { maxAttempts: 4, timeoutSecs: 60 }
const keyed = { ...constraints, concurrencyKey: 'one at a time' }

async function submitGraph(): Promise<void> {
  await tasks.submitGraph({
    project: { kind: 'work', constraints, dependsOn: ['report', 'index'], budgets: { token: 120 } },
    fetch: { kind: 'work', constraints, parent: 'project' },
    parse: { kind: 'work', constraints: keyed, parent: 'project', dependsOn: ['fetch'] },
    index: { kind: 'work', constraints: keyed, parent: 'project', dependsOn: ['fetch'], budgets: { token: 1000 } },
    report: { kind: 'work', constraints, parent: 'project', dependsOn: ['parse', 'index'] },
  })
}

/** A run that gave way goes on at once; one without budget once the project has more. */
async function goOn(runId: RunId): Promise<void> {
  const run = tasks.projection.run(runId)
  if (run?.state !== 'suspended') return
  if (run.history.at(-1)?.reason !== 'budget_exhausted') return tasks.resume(runId)
  const parentTaskId = tasks.projection.task(run.taskId)?.spec.parentTaskId ?? run.taskId
  const { limit = 0 } = tasks.projection.budget(parentTaskId, 'token' as never) ?? {}
  await tasks.replenish(parentTaskId, 'token', limit + 50)
}

/** A run whose budget is used up before it starts stays ready: only more money lets it go. */
async function topUp(): Promise<void> {
  for (const { spec } of Array.from(tasks.projection.tasks())) {
    const budget = tasks.projection.budget(spec.id, 'token' as never)
    if (budget?.exhausted === true)
      await tasks.replenish(spec.id, 'token', Math.max(budget.limit, budget.consumed) + 50)
  }
}

function isOver(): boolean {
  return (['scheduled', 'ready', 'leased', 'running', 'retry_wait', 'suspended'] as const).every(
    (state) => tasks.projection.countIn(state) === 0,
  )
}

tasks.authority.onCommit((events) => {
  for (const event of events) {
    if (event.type === 'run_suspended') void goOn(event.runId).catch(() => {})
    if (event.type === 'budget_settled' || event.type === 'budget_consumed') void topUp().catch(() => {})
  }
})
tasks.handle('work', work)
await tasks.start()
await topUp()
const suspended = Array.from(tasks.projection.runsIn('suspended'))
for (const run of suspended) await goOn(run.id).catch(() => {})
for (;;) {
  if (isOver() && mode === 'finish') break
  if (isOver()) await submitGraph()
  const open = Array.from(tasks.projection.tasks()).filter(({ progress }) => progress.open > 0)
  for (const { spec } of open) {
    const { status } = await tasks.outcome(spec.id)
    say('outcome', spec.id, status)
  }
}
say('done')
process.exit(0)
