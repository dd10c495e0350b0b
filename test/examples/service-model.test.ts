import { expect, it, onTestFinished } from 'vitest'
import type { HttpEvent, HttpReply, HttpRoute } from 'stateward/http'
import { routes } from '../../examples/agent-service/routes.js'
import { checkService } from '../../examples/testing/service-model.js'
import { ModelError } from '../../src/testing/index.js'

/** Puts a bug into one route of the service, until the test is over. */
function plant(path: RegExp, method: string, change: (handle: HttpRoute['handle']) => HttpRoute['handle']): void {
  const place = routes.findIndex((route) => path.test(route.path) && route.method === method)
  const sound = routes[place]
  if (sound === undefined) throw new Error(`no route ${path}`)
  const open = routes as HttpRoute[]
  open[place] = { ...sound, handle: change(sound.handle) }
  onTestFinished(() => void (open[place] = sound))
}

async function* none(): AsyncGenerator<HttpEvent> {}

async function* withoutCancelled(events: AsyncIterable<HttpEvent>): AsyncGenerator<HttpEvent> {
  for await (const event of events) if (!JSON.stringify(event.data).includes('"type":"cancelled"')) yield event
}

/** What the model finds. */
async function fault(): Promise<ModelError> {
  const report: unknown = await checkService({ numRuns: 100, maxSteps: 12, seed: 7 }).catch((error: unknown) => error)
  expect(report).toBeInstanceOf(Error)
  const { message, cause } = report as Error
  expect(message).toContain('seed: 7,')
  expect(cause).toBeInstanceOf(ModelError)
  return cause as ModelError
}

it('the service does what the model of operations says, over HTTP and through crashes', {
  timeout: 60_000,
}, async () => {
  await expect(checkService({ numRuns: 12, maxSteps: 15 })).resolves.toBeUndefined()
})

it('a stream that loses the completion of what was cancelled is found', { timeout: 60_000 }, async () => {
  plant(/\/completions$/, 'GET', (handle) => async (call) => {
    const reply = await handle(call)
    return { ...reply, events: withoutCancelled(reply.events ?? none()) }
  })
  const { message, data } = await fault()
  expect(message).toMatch(/^completion feed/)
  expect(data.steps).toEqual(['run an operation as background_tool_op', expect.stringMatching(/^cancel /)])
})

it('a wrong answer to the cancelling of what has ended is found', { timeout: 60_000 }, async () => {
  plant(/\/cancel$/, 'POST', (handle) => async (call) => {
    try {
      return await handle(call)
    } catch {
      return { status: 200, body: {} }
    }
  })
  const { message, data } = await fault()
  expect(message).toMatch(/^cancel .* should be refused with (invalid_transition|not_found), but it was taken/)
  expect(data.steps.at(-1)).toMatch(/^cancel /)
  expect(data.steps.length).toBeLessThanOrEqual(3)
})

it('a list that forgets what was lost in a crash is found', { timeout: 60_000 }, async () => {
  plant(/\/operations$/, 'GET', (handle) => async (call) => {
    const reply: HttpReply = await handle(call)
    return { ...reply, body: { ...(reply.body as object), lost: [] } }
  })
  const { message, data } = await fault()
  expect(message).toMatch(/^lost operations/)
  expect(data.steps).toEqual(['run an operation as background_tool_op', 'crash'])
})
