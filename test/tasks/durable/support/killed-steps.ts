/**
 * A service whose handlers do steps, ask, call and sleep, and which forgets what has ended, until it is done or killed. It
 * notes each flow that is submitted, each step that it does, each that is durable, each answer that is, each flow that has
 * ended, what the archive is given, and each flow that it has forgotten at once. It is done when every flow has ended.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { StatewardError } from '../../../../src/base/errors.js'
import { createRuntime } from '../../../../src/runtime.js'
import { isRefusal, type ArchivedTask, type HandlerContext, type TaskId } from '../../../../src/tasks/index.js'
import { mortalProgram } from '../../../support/mortal-program.js'

const { wave, upTo, store, note, done } = mortalProgram()

const archive = async (rows: readonly ArchivedTask[]): Promise<void> => {
  for (const { taskId, isWhole, task, waits, budgets } of rows) {
    const spent = budgets.map(({ consumed, reserved }) => [consumed, reserved])
    const answers = waits.flatMap(({ end }) => (end?.type === 'answered' ? [end.value] : []))
    note({ what: 'archived', taskId, key: task.spec.kind, value: { isWhole, spent, answers, ...task.progress } })
  }
  await nextTurn()
}

const runtime = await createRuntime({
  store,
  compactAfter: 200,
  tasks: { concurrency: 2, backoff: { type: 'fixed', delayMs: 0 }, retention: { count: 5, archive } },
})
const { tasks } = runtime

/** A step that is noted when it is done, and when that is durable. */
async function noted({ step, taskId }: HandlerContext, name: string, tokens: number): Promise<number> {
  const result = await step(
    name,
    async () => {
      note({ what: 'do', taskId, key: name })
      await nextTurn()
      return upTo(1000)
    },
    { reserve: { token: tokens * 2 }, spent: () => ({ token: tokens }) },
  )
  note({ what: 'done', taskId, key: name, value: result })
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

/** Gives a flow one answer, however often it is given. */
async function answer(taskId: TaskId): Promise<void> {
  for (let pause = upTo(40); pause > 0; pause -= 1) await nextTurn()
  const value = upTo(1_000_000)
  try {
    await tasks.answer(taskId, 'go', value)
    note({ what: 'answered', taskId, key: 'go', value })
  } catch (refusal) {
    if (!isRefusal(refusal)) throw refusal
  }
}

/** Submits a flow under its key, which it has been before if this is not its first life, and sees to its end. */
async function drive(number: number): Promise<void> {
  const id = `${number.toString(16).padStart(8, '0')}-0000-4000-8000-000000000000` as TaskId
  const key = `order-${number}`
  const taskId = await tasks.submit({
    kind: 'flow',
    id,
    key,
    payload: { number },
    constraints,
    budgets: { token: 100 },
  })
  note({ what: 'submitted', taskId, key, value: number })
  try {
    const [{ status }] = await Promise.all([tasks.outcome(taskId), answer(taskId)])
    note({ what: 'ended', taskId, key: status })
  } catch (error) {
    if (!StatewardError.is(error, 'no_longer_retained')) throw error
    return
  }
  if (number % 3 > 0) return
  await tasks.forget(taskId)
  note({ what: 'forgotten', taskId, key })
}

await Promise.all([0, 1, 2, 3].map((flow) => drive(wave * 4 + flow)))
await runtime.close()
done()
