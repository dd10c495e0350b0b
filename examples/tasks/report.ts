/**
 * A report written by tasks that share one budget. Kill it whenever you like and start it again: it continues where it
 * was until the report is done, and spends exactly what its work costs, because each call of the model is a step, made
 * once.
 *
 *     npm run example:tasks
 */
import { setTimeout as delay } from 'node:timers/promises'
import { createRuntime } from 'stateward'
import { budgetDimension, parseId, type HandlerContext, type RunId, type TaskId } from 'stateward/tasks'

const [dataDir = '.stateward/report'] = process.argv.slice(2)
const token = budgetDimension('token')
/** A fixed id, so that a second start finds the report of the first. */
const report = parseId<TaskId>('5ce7ab1e-0000-4000-8000-000000000001')

const runtime = await createRuntime({ dataDir, tasks: { backoff: { type: 'fixed', delayMs: 0 } } })
const { tasks } = runtime

/** Stands in for calls of a model: each is a step that reserves its price before it starts and reports what it cost. */
async function think(calls: number, { step }: HandlerContext): Promise<void> {
  for (let call = 0; call < calls; call += 1) {
    await step('call the model', ({ signal }) => delay(20, 150, { signal }), {
      reserve: { token: 200 },
      spent: (usage) => ({ token: usage }),
    })
  }
}

tasks.handle('outline', async (context) => {
  await think(2, context)
  console.log('outlined')
})

tasks.handle('section', async (context) => {
  await think(4, context)
  console.log(`written: ${context.text()}`)
  return `text about ${context.text()}`
})

tasks.handle('report', async (context) => {
  await think(1, context)
  console.log(`put together from ${context.children().length} parts`)
})

/** No limit on how often it may be killed. */
const constraints = { maxLosses: 1_000_000 }

if (tasks.projection.task(report) === undefined) {
  const section = { kind: 'section', parent: 'report', dependsOn: ['outline'], constraints } as const
  await tasks.submitGraph({
    history: { ...section, payload: 'history' },
    method: { ...section, payload: 'method' },
    results: { ...section, payload: 'results' },
    outline: { kind: 'outline', parent: 'report', constraints },
    report: {
      kind: 'report',
      id: report,
      dependsOn: ['history', 'method', 'results'],
      budgets: { token: 600 },
      constraints,
    },
  })
  console.log('submitted')
}

let isAsking = false

/** Decides about the budget: this one always allows a little more. */
async function allowMore(runId: RunId): Promise<void> {
  const { state, history } = tasks.projection.run(runId) ?? {}
  if (isAsking || state !== 'suspended' || history?.at(-1)?.reason !== 'budget_exhausted') return
  isAsking = true
  const { limit = 0, consumed = 0 } = tasks.projection.budget(report, token) ?? {}
  console.log(`the budget of ${limit} is used up: ${consumed} spent`)
  // Resumes every run that was suspended for lack of budget; each continues with its first unfinished step.
  await tasks.replenish(report, token, limit + 600)
  isAsking = false
}

tasks.authority.onCommit(({ events }) => {
  for (const event of events) {
    if (event.type === 'attempt_ended' && event.newState === 'suspended') void allowMore(event.runId)
  }
})
const suspended = Array.from(tasks.projection.runsIn('suspended'))
for (const { id } of suspended) await allowMore(id)

const { status } = await tasks.outcome(report)
const { limit = 0, consumed = 0 } = tasks.projection.budget(report, token) ?? {}
console.log(`report ${status}: ${consumed} of ${limit} tokens`)
await runtime.close()
