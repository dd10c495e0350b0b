/**
 * A service whose handlers do steps, ask, call and sleep until it is done or killed: `killed-steps.js DIRECTORY NOTES SEED
 * MORTAL`. It notes in the file NOTES, one JSON object per line, each step that it does, each that is durable, and each
 * answer that is. It says `note` for every note, and `done` when every flow has ended. The seed decides, if MORTAL is 1,
 * whether and where it kills itself within a file operation.
 */
import { appendFileSync, writeSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createDirectoryJournal } from '../../../../src/journal/directory-journal.js'
import { createRuntime } from '../../../../src/runtime.js'
import { isRefusal, type HandlerContext, type TaskId } from '../../../../src/tasks/index.js'
import { createDice, mortalFileSystem } from '../../../journal/support/mortal-file-system.js'

const [directory = '', notes = '', seed = '0', mortal = '0', wave = '0'] = process.argv.slice(2)
const upTo = createDice(Number(seed))
const writes = mortal === '1' && upTo(2) === 0 ? 3 + upTo(120) : Number.POSITIVE_INFINITY

/** What has been noted survives a kill: the file is the system's. */
function note(what: string, taskId: TaskId, key: string, value?: unknown): void {
  appendFileSync(notes, `${JSON.stringify({ what, taskId, key, value })}\n`)
  writeSync(1, 'note\n')
}

const fileSystem = mortalFileSystem(writes, upTo)
const store = createDirectoryJournal({ directory, fileSystem, segmentBytes: 64 * 1024 })
const dispatch = { concurrency: 2, backoff: { type: 'fixed', delayMs: 0 } } as const
const runtime = await createRuntime({ store, tasks: dispatch, compactAfter: 200 })
const { tasks } = runtime

/** A step that is noted when it is done, and when that is durable. */
async function noted({ step, taskId }: HandlerContext, name: string, tokens: number): Promise<number> {
  const result = await step(
    name,
    async () => {
      note('do', taskId, name)
      await nextTurn()
      return upTo(1000)
    },
    { reserve: { token: tokens * 2 }, spent: () => ({ token: tokens }) },
  )
  note('done', taskId, name, result)
  return result
}

/** However often it is killed: what is called may be lost as often as what calls it. */
const constraints = { maxLosses: 1_000_000 }

tasks.handle('flow', async (context) => {
  const first = await noted(context, 'first', 7)
  const [answer, parts] = await Promise.all([
    context.waitFor('go'),
    Promise.all([1, 2, 2].map((number) => context.call({ kind: 'leaf', options: constraints }, number))),
    context.sleep(upTo(20)),
    noted(context, 'beside', 7),
  ])
  const last = await noted(context, 'last', 7)
  return { first, last, answer, parts }
})

tasks.handle('leaf', async (context) => {
  const drawn = await noted(context, 'leaf', 5)
  await context.sleep(upTo(5))
  return { number: context.json(), drawn }
})

const flows = [0, 1, 2, 3].map((flow) => {
  const number = Number(wave) * 16 + flow
  return `${number.toString(16).padStart(8, '0')}-0000-4000-8000-000000000000` as TaskId
})
for (const id of flows) {
  if (tasks.projection.task(id) === undefined)
    await tasks.submit({ kind: 'flow', id, constraints, budgets: { token: 100 } })
}

/** Gives each flow one answer, however often it is given. */
async function answer(id: TaskId): Promise<void> {
  for (let pause = upTo(40); pause > 0; pause -= 1) await nextTurn()
  const value = upTo(1_000_000)
  try {
    await tasks.answer(id, 'go', value)
    note('answered', id, 'go', value)
  } catch (refusal) {
    if (!isRefusal(refusal)) throw refusal
  }
}

await Promise.all([...flows.map(answer), ...flows.map((id) => tasks.outcome(id))])
await runtime.close()
writeSync(1, 'done\n')
