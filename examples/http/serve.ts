/** A runtime behind HTTP, with a route of its own: docs/http.md. */
// #region shown
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createRuntime } from 'stateward'
import { createHttpHandler, runtimeRoutes, taskIdOf, type HttpRoute } from 'stateward/http'
import * as v from 'valibot'

const Approval = v.strictObject({ approved: v.boolean() })

const answer: HttpRoute = {
  method: 'POST',
  path: '/tasks/:task/approval',
  handle: async (call) => {
    await call.runtime.tasks.answer(taskIdOf(call), 'approval', await call.json(Approval))
    return { status: 202, body: {} }
  },
}

const runtime = await createRuntime()
runtime.tasks.handle('publish', ({ waitFor }) => waitFor('approval', Approval, { whom: 'editor' }))
const { id } = await runtime.tasks.submit('publish', { page: 7 })

const token = process.env['SERVICE_TOKEN'] ?? 'only-for-this-example'
const handler = createHttpHandler({ runtime, token, routes: [answer, ...runtimeRoutes] })
const server = createServer(handler.node).listen(0, '127.0.0.1')
await once(server, 'listening')
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
const completions = await fetch(`${url}/tasks/completions`, { headers: { ...headers, 'last-event-id': '0' } })
await fetch(`${url}/tasks/${id}/approval`, { method: 'POST', headers, body: '{"approved":true}' })
for await (const text of completions.body?.pipeThrough(new TextDecoderStream()) ?? []) {
  console.log(text.split('\n')[1])
  break
}
const { status, outcome } = (await (await fetch(`${url}/tasks/${id}`, { headers })).json()) as Record<string, object>
console.log(status, outcome)
console.log((await fetch(`${url}/tasks`)).status)

// Streams end with the runtime, so that the server has nothing left to wait for.
server.close()
await runtime.close()
// #endregion
