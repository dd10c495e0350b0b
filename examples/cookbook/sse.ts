/** Completions of a session as Server-Sent Events: docs/cookbook.md. */
// #region shown
import { createServer } from 'node:http'
import { createRuntime } from 'stateward'
import { createHttpHandler } from 'stateward/http'

const runtime = await createRuntime()
const session = runtime.session('agent')

const handler = createHttpHandler({
  runtime,
  // An `EventSource` sends cookies but no custom headers, so check the cookie of the signed-in user.
  authorize: (request) => request.header('cookie')?.includes('user=ada') === true,
})
// In the browser: new EventSource('/sessions/agent/completions')
const server = createServer(handler.node).listen(0, '127.0.0.1')
// #endregion
await new Promise((resolve) => server.once('listening', resolve))
await session.run('first', () => 'one').outcome
await session.run('second', () => 'two').outcome
const { port } = server.address() as { port: number }
const url = `http://127.0.0.1:${port}/sessions/agent/completions`
console.log((await fetch(url)).status)
const response = await fetch(url, { headers: { cookie: 'user=ada', 'last-event-id': `1@${session.epochId}` } })
const events = response.body?.getReader()
console.log(new TextDecoder().decode((await events?.read())?.value))
await events?.cancel()
server.close()
await runtime.close()
