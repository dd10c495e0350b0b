import { expect, it } from 'vitest'
import { getShortestPaths } from 'xstate/graph'
import { mcpTaskMachine, type McpTaskMove } from '../../machines/mcp-task.js'
import type { JsonValue } from '../../src/base/json.js'
import type { DetailedTask } from '../../src/mcp/index.js'
import { accepted, openPlace, type Listening, type Place } from './support/place.js'
import { ask } from './support/tools.js'

const keys = ['a', 'b'] as const
const moves: readonly McpTaskMove[] = [
  ...keys.flatMap((key): McpTaskMove[] => [
    { type: 'ask', key },
    { type: 'answer', key },
  ]),
  { type: 'complete' },
  { type: 'fail' },
  { type: 'cancel' },
]

/** The shortest way to each place that the chart with two questions can come to. */
const paths = getShortestPaths(mcpTaskMachine, { events: [...moves] })

/** Reads until the stream tells of a status with these questions open. */
async function told(stream: Listening, status: string, open: readonly string[]): Promise<DetailedTask> {
  for (;;) {
    const message = await stream.next()
    if (message === undefined) throw new Error(`the stream ended before ${status} ${open.join()}`)
    const { _meta: _, ...task } = (message['params'] ?? {}) as DetailedTask & { readonly _meta?: unknown }
    if (task.status === status && openKeys(task).join() === open.toSorted().join()) return task
  }
}

function openKeys({ inputRequests = {} }: DetailedTask): readonly string[] {
  return Object.keys(inputRequests).toSorted()
}

async function perform(place: Place, taskId: string, move: McpTaskMove): Promise<void> {
  const { store } = place.runtime.processes
  switch (move.type) {
    case 'ask': {
      const payload = { key: move.key, request: ask(move.key, {}) } as unknown as JsonValue
      await store.appendEvent(taskId, { eventType: 'mcp.input-requested', payload, replay: { key: `q:${move.key}` } })
      return
    }
    case 'answer':
      expect((await place.answer(taskId, { [move.key]: accepted({}) })).result?.resultType).toBe('complete')
      return
    case 'complete':
      return place.door.complete(taskId, { content: [] })
    case 'fail':
      return place.door.fail(taskId, { code: -32000, message: 'no' })
    case 'cancel':
      await place.call('tasks/cancel', { taskId })
  }
}

it('a task goes every way of its chart, and says the same to who asks and to who listens [M-9] [M-10] [M-31]', async () => {
  expect(paths.length).toBeGreaterThan(20)
  const place = await openPlace()
  for (const { steps } of paths) {
    const { taskId } = await place.begin('external_job')
    const stream = await place.listen([taskId])
    for (const { event, state } of steps) {
      if (moves.includes(event)) await perform(place, taskId, event)
      const { value, context } = state
      // What ends leaves no question open.
      const open = value === 'input_required' ? context.open : []
      const notified = await told(stream, value, open)
      const { resultType: _, _meta, ...got } = (await place.get(taskId)) as DetailedTask & Record<string, unknown>
      expect(notified).toEqual(got)
    }
    await stream.cancel()
  }
})
