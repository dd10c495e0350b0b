import { expect, it, onTestFinished } from 'vitest'
import { routes, type Call, type Reply, type Route } from '../../examples/agent-service/routes.js'
import { checkService } from '../../examples/testing/service-model.js'
import { ModelError } from '../../src/testing/index.js'

/** Puts a bug into one route of the service, until the test is over. */
function plant(path: RegExp, method: string, change: (handle: Route['handle']) => Route['handle']): void {
  const place = routes.findIndex((route) => path.test(route.path) && route.method === method)
  const sound = routes[place]
  if (sound === undefined) throw new Error(`no route ${path}`)
  const open = routes as Route[]
  open[place] = { ...sound, handle: change(sound.handle) }
  onTestFinished(() => void (open[place] = sound))
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
  plant(/\/completions$/, 'GET', (handle) => (call: Call, context) => {
    const { response } = call
    const write = response.write.bind(response) as (chunk: unknown) => boolean
    response.write = (chunk: unknown) => String(chunk).includes('"type":"cancelled"') || write(chunk)
    return handle(call, context)
  })
  const { message, data } = await fault()
  expect(message).toMatch(/^completion feed/)
  expect(data.steps).toEqual(['run an operation as background_tool_op', expect.stringMatching(/^cancel /)])
})

it('a wrong answer to the cancelling of what has ended is found', { timeout: 60_000 }, async () => {
  plant(/\/cancel$/, 'POST', (handle) => async (call, context) => {
    try {
      return await handle(call, context)
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
  plant(/\/operations$/, 'GET', (handle) => async (call, context) => {
    const reply = (await handle(call, context)) as Reply
    return { ...reply, body: { ...(reply.body as object), lost: [] } }
  })
  const { message, data } = await fault()
  expect(message).toMatch(/^lost operations/)
  expect(data.steps).toEqual(['run an operation as background_tool_op', 'crash'])
})
