/** Completions of a session as Server-Sent Events: docs/cookbook.md. */
// #region shown
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createRuntime } from 'stateward'

const runtime = await createRuntime()
const session = runtime.session('agent')

async function stream(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const gone = new AbortController()
  response.on('close', () => gone.abort())
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
  // A browser sends the last `id` that it has seen by itself when it comes back.
  const after = Number(request.headers['last-event-id'] ?? 0)
  try {
    for await (const { seq, displayName, outcome } of session.feed.entries({ after, signal: gone.signal })) {
      response.write(`id: ${seq}\nevent: completion\ndata: ${JSON.stringify({ displayName, outcome })}\n\n`)
    }
  } catch (error) {
    // It was away so long that rows have left the feed: say so instead of leaving them out.
    if (!gone.signal.aborted) response.write(`event: gap\ndata: ${JSON.stringify({ message: String(error) })}\n\n`)
  }
  response.end()
}

const server = createServer((request, response) => void stream(request, response))
server.listen(0, '127.0.0.1')
// #endregion
await new Promise((resolve) => server.once('listening', resolve))
await session.run({ kind: 'background_tool_op', displayName: 'first' }, () => 'one').outcome
await session.run({ kind: 'background_tool_op', displayName: 'second' }, () => 'two').outcome
const { port } = server.address() as { port: number }
const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { 'last-event-id': '1' } })
const events = response.body?.getReader()
console.log(new TextDecoder().decode((await events?.read())?.value))
await events?.cancel()
server.close()
await runtime.close()
