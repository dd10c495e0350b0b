import { createRuntime, defineTask, RetryLater, TaskFailed, type TaskDefinition, type TaskHandle } from 'stateward'
import type * as room from 'stateward/tasks'
import * as v from 'valibot'

/** Exactly the same type, and not merely one that fits. */
type Same<One, Other> = (<Any>() => Any extends One ? 1 : 2) extends <Any>() => Any extends Other ? 1 : 2 ? true : false

declare function check<Holds extends true>(): Holds
declare function use(...values: readonly unknown[]): void

const Topic = v.object({ topic: v.string(), depth: v.optional(v.number(), 1) })
const Report = v.object({
  parts: v.array(v.string()),
  at: v.pipe(
    v.string(),
    v.transform((text) => new Date(text)),
  ),
})

// The handler is given what the schema gives back, and returns what it takes; the result is what it gives back.
const report = defineTask(
  'report',
  { input: Topic, output: Report, maxAttempts: 3, concurrency: 4 },
  async (input, context) => {
    check<Same<typeof input, { topic: string; depth: number }>>()
    check<Same<typeof context.attemptNumber, number>>()
    if (context.signal.aborted) throw new RetryLater(1000)
    return { parts: [input.topic], at: '2026-01-01T00:00:00Z' }
  },
)
check<
  Same<typeof report, TaskDefinition<{ topic: string; depth?: number | undefined }, { parts: string[]; at: Date }>>
>()

// Without schemas the types are those of the handler.
const plain = defineTask('plain', {}, async (input: { readonly count: number }) => input.count)
check<Same<typeof plain, TaskDefinition<{ readonly count: number }, number>>>()
const nightly = defineTask('nightly', { rate: { starts: 1, perMs: 1000 } }, () => 'done')
check<Same<typeof nightly, TaskDefinition<unknown, string>>>()
const inputOnly = defineTask('input-only', { input: v.string() }, (text) => text.length)
check<Same<typeof inputOnly, TaskDefinition<string, number>>>()
const outputOnly = defineTask('output-only', { output: v.number() }, (input: string) => input.length)
check<Same<typeof outputOnly, TaskDefinition<string, number>>>()

const parent = defineTask('parent', {}, async (_: undefined, context) => {
  const called = await context.call(report, { topic: 'cranes' })
  check<Same<typeof called, { parts: string[]; at: Date }>>()
  const plan = await context.step('plan', ({ signal }) => [String(signal.aborted)], { reserve: { token: 400 } })
  check<Same<typeof plan, string[]>>()
  const { approved } = await context.waitFor('approval', v.object({ approved: v.boolean() }), { timeoutMs: 1000 })
  check<Same<typeof approved, boolean>>()
  // @ts-expect-error a topic is text
  await context.call(report, { topic: 5 })
  return { approved, plan, at: called.at.getTime() }
})

const runtime = await createRuntime({ tasks: { define: [parent, report, plain, nightly, inputOnly, outputOnly] } })
const { tasks } = runtime

const handle = await tasks.submit(report, { topic: 'cranes' }, { key: 'order-42', budgets: { token: 5000 } })
const result = await handle.result({ signal: new AbortController().signal, timeoutMs: 1000 })
check<Same<typeof result, { parts: string[]; at: Date }>>()
const handles: readonly TaskHandle<unknown>[] = [
  handle,
  await tasks.submit(nightly),
  await tasks.submit('text', { any: 1 }),
]
const untyped = await (await tasks.submit('text')).result()
check<Same<typeof untyped, unknown>>()
const found = await tasks.find(report, handle.id)?.result()
check<Same<typeof found, { parts: string[]; at: Date } | undefined>>()
const id: string = await tasks.submit({ kind: 'text', payload: { any: 1 }, after: [handle.id], at: new Date() })
tasks.handle(report)
tasks.handle('text', ({ input, prerequisites }) => [input, prerequisites()])

try {
  await handle.result()
} catch (cause) {
  if (cause instanceof TaskFailed) use(cause.data.reason, cause.data.attempts, id, handles)
}
// A class with private members and a branded id are the same in every entry point.
check<Same<TaskHandle<number>, room.TaskHandle<number>>>()
check<Same<typeof handle.id, room.TaskId>>()
const block = tasks.why([...tasks.projection.runsOf(handle.id)][0]?.id ?? (id as never))
if (block.by === 'rate') use(block.forMs)

// @ts-expect-error a topic is text
await tasks.submit(report, { topic: 5 })
// @ts-expect-error it takes an input
await tasks.submit(report)
// @ts-expect-error misspelt
await tasks.submit(report, { topic: 'cranes' }, { ky: 'order-42' })
// @ts-expect-error misspelt
await tasks.submit({ kind: 'text', paylod: 1 })
// @ts-expect-error the schema of its output takes text
defineTask('wrong', { output: v.string() }, () => 5)
// @ts-expect-error the handler expects what its schema does not give
defineTask('wrong', { input: v.string() }, (input: number) => input)
// @ts-expect-error misspelt
defineTask('wrong', { maxAttemps: 3 }, () => 5)
// @ts-expect-error a text kind has a handler
tasks.handle('text')
