/**
 * A service that runs graphs of tasks until it is done or killed: `killed-service.js DIRECTORY NOTES SEED WAVES MORTAL`.
 * Each wave is one tree under a shared budget; what is submitted already is not submitted again. Its handlers note what
 * they do in the file NOTES, one JSON object per line. It says `commit` for every commit, `note` for every note,
 * `broken MESSAGE` for what must not happen, and `done` when every run has ended. The seed decides what handlers do and,
 * if MORTAL is 1, where the service kills itself: within a handler or within a file operation.
 */
import { appendFileSync, writeSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { StatewardError } from '../../../../src/base/errors.js'
import { createDirectoryJournal } from '../../../../src/journal/directory-journal.js'
import { createRuntime } from '../../../../src/runtime.js'
import {
  failed,
  isTerminalRunState,
  runStates,
  suspend,
  TerminalFailure,
  type HandlerContext,
  type RunId,
  type TaskId,
} from '../../../../src/tasks/index.js'
import { createDice, die, mortalFileSystem } from '../../../journal/support/mortal-file-system.js'

const [directory = '', notes = '', seed = '0', waves = '1', mortal = '0', compactAfter = '0'] = process.argv.slice(2)
const say = (...words: readonly unknown[]): void => void writeSync(1, `${words.join(' ')}\n`)

const upTo = createDice(Number(seed))
const isMortal = mortal === '1'
const writes = isMortal && upTo(2) === 0 ? 3 + upTo(80) : Number.POSITIVE_INFINITY
const store = createDirectoryJournal({ directory, fileSystem: mortalFileSystem(writes, upTo), segmentBytes: 64 * 1024 })
const runtime = await createRuntime({
  store,
  tasks: { concurrency: 3, backoff: { type: 'fixed', delayMs: 0 } },
  ...(compactAfter !== '0' && { compactAfter: Number(compactAfter) }),
})
const { tasks } = runtime
const { projection } = tasks
const now = (): number => Date.now()

function note({ runId, attemptId }: HandlerContext, what: string, more: object = {}): void {
  appendFileSync(notes, `${JSON.stringify({ what, runId, attemptId, ...more })}\n`)
  say('note')
}

/** Refusals that a race explains. */
const races = ['budget_not_raised', 'run_resume_requires_suspended', 'run_of_cancelled_task', 'task_already_cancelled']

/** Nobody waits for it; what no race explains is reported. */
function inBackground(change: Promise<unknown>): void {
  change.catch((error: unknown) => {
    if (!StatewardError.is(error) || !races.includes(error.code)) say('broken', String(error))
  })
}

/** Another dispatcher that takes the run for abandoned. */
async function takeOver({ runId, attemptId, fencingToken, task }: HandlerContext): Promise<boolean> {
  return tasks.authority.transact((batch) => {
    const run = batch.view.run(runId)
    const { lease } = run ?? {}
    if (run === undefined || lease?.fencingToken !== fencingToken) return false
    const counted = run.attempts.filter(
      ({ outcome }) => outcome?.result !== 'suspended' && outcome?.result !== 'lost',
    ).length
    const atMs = Math.max(now(), run.lastStateChangeAtMs)
    const { owner, expiresAtMs } = lease
    batch.submit({ type: 'lease_expire', runId, owner, expiresAtMs, atMs })
    const outcome = failed('taken over', 'retryable')
    batch.submit({ type: 'attempt_finish', runId, attemptId, outcome, atMs })
    const move = { type: 'run_state_transition', runId, previousState: 'running', atMs } as const
    if (counted >= task.constraints.maxAttempts) batch.submit({ ...move, newState: 'failed' })
    else batch.submit({ ...move, newState: 'retry_wait', retryAtMs: atMs })
    return true
  })
}

async function spend(context: HandlerContext, wave: number): Promise<void> {
  const amount = 1 + upTo(60)
  note(context, 'reserving', { wave, amount })
  let spending
  try {
    spending = await context.budget.reserve('token', amount)
  } catch (error) {
    note(context, 'refused', { wave, amount })
    throw error
  }
  await nextTurn()
  const used = upTo(amount + 1)
  await spending.settle(used)
  note(context, 'settled', { wave, amount, used })
}

async function work(context: HandlerContext): Promise<unknown> {
  const wave = context.json() as number
  const { fencingToken, attemptNumber, task } = context
  note(context, 'begin', { fencingToken, attemptNumber, maxAttempts: task.constraints.maxAttempts })
  const chance = upTo(100)
  if (chance < 6 && isMortal) die()
  if (chance < 14) throw new Error('by chance')
  if (chance < 16) throw new TerminalFailure('by chance')
  if (chance < 24) return suspend('so far')
  if (chance < 34 && (await takeOver(context))) {
    note(context, 'superseded')
    const isRefused = await context.budget.reserve('token', 1).then(
      () => false,
      () => true,
    )
    if (!isRefused) say('broken', 'a superseded worker could reserve')
    return 'stale'
  }
  if (chance < 42) await context.submit({ kind: 'work', payload: wave, constraints: { maxAttempts: 2 } })
  for (let round = 1 + upTo(3); round > 0; round -= 1) await spend(context, wave)
  if (chance < 50 && isMortal) die()
  note(context, 'end')
  return 'done'
}

/** A readable id: the wave and the place in it. */
const idOf = (wave: number, place: number): TaskId =>
  `${wave.toString(16).padStart(8, '0')}-0000-4000-8000-${place.toString(16).padStart(12, '0')}` as TaskId

async function submitWave(wave: number): Promise<void> {
  if (projection.task(idOf(wave, 0)) !== undefined) return
  const child = (place: number, maxAttempts: number) => ({
    id: idOf(wave, place),
    kind: 'work',
    payload: wave,
    parent: 'root' as const,
    budgets: { token: 150 },
    constraints: { maxAttempts, ...(place > 4 && { concurrencyKey: `key of ${wave}` }) },
  })
  await tasks.submitGraph({
    root: { id: idOf(wave, 0), kind: 'quick', budgets: { token: 500 } },
    one: child(1, 1),
    two: child(2, 20),
    three: { ...child(3, 4), dependsOn: ['two'] },
    four: { ...child(4, 20), runPolicy: { type: 'repeat', count: 3, intervalMs: 1000 }, at: now() - 5000 },
    five: child(5, 3),
    six: child(6, 5),
    seven: { ...child(7, 9), dependsOn: ['four', 'six'] },
  })
}

/** Raises the limit of every budget that is spent, or too small for what somebody wanted. */
function replenish(taskId: TaskId | undefined, isWanted: boolean): void {
  for (let next = taskId; next !== undefined; next = projection.task(next)?.spec.parentTaskId) {
    for (const { dimension, limit, exhausted } of projection.budgetsOf(next)) {
      if (exhausted || isWanted) inBackground(tasks.replenish(next, dimension, limit + 100))
    }
  }
}

function lookAfter(runId: RunId): void {
  const run = projection.run(runId)
  if (run?.state !== 'suspended') return
  if (run.history.at(-1)?.reason === 'budget_exhausted') replenish(run.taskId, true)
  else inBackground(tasks.resume(runId))
}

const openStates = runStates.filter((state) => !isTerminalRunState(state))
let isSubmitted = false
let isClosing = false

function endIfDone(): void {
  if (!isSubmitted || isClosing || openStates.some((open) => projection.countIn(open) > 0)) return
  isClosing = true
  runtime.close().then(
    () => say('done'),
    (error: unknown) => say('broken', String(error)),
  )
}

tasks.authority.onCommit(({ events }) => {
  say('commit')
  for (const event of events) {
    if (event.type === 'attempt_ended' && event.newState === 'suspended') lookAfter(event.runId)
    if (event.type === 'budget_settled' || event.type === 'attempt_ended')
      for (const { spec } of projection.tasks()) replenish(spec.id, false)
  }
  endIfDone()
})
tasks.handle('quick', () => 'done')
tasks.handle('work', work)
await tasks.start()
for (let wave = 1; wave <= Number(waves); wave += 1) await submitWave(wave)
isSubmitted = true
for (const { spec } of projection.tasks()) replenish(spec.id, false)
for (const { id } of projection.runsIn('suspended')) lookAfter(id)
endIfDone()
