import { createMcpHandler, type AuthInfo, type McpHttpHandler } from '@modelcontextprotocol/server'
import { onTestFinished } from 'vitest'
import { createRuntime } from '../../../src/create-runtime.js'
import { createMcpTasks, type DetailedTask, type McpTasks, type McpTasksOptions } from '../../../src/mcp/index.js'
import type { RuntimeOptions } from '../../../src/runtime-options.js'
import type { Runtime } from '../../../src/runtime.js'
import { defineTools, makeServer } from './tools.js'
import { metaOf, type Answered, type Sent } from './wire.js'

export { accepted, extension, metaOf, type Answered, type Sent } from './wire.js'

let lastId = 0

/** A request of the modern line. */
export function requestOf(method: string, params: Readonly<Record<string, unknown>>, sent: Sent = {}): Request {
  const name = params['taskId'] ?? params['name']
  lastId += 1
  return new Request('http://127.0.0.1/mcp', {
    method: 'POST',
    ...(sent.signal !== undefined && { signal: sent.signal }),
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
      ...(typeof name === 'string' && { 'mcp-name': name }),
      ...sent.headers,
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: sent.id ?? lastId, method, params: { ...params, _meta: metaOf(sent) } }),
  })
}

function authOf(who: string | undefined): { authInfo?: AuthInfo } {
  return who === undefined ? {} : { authInfo: { token: `token-${who}`, clientId: who, scopes: [] } }
}

/** A door in this process, and ways to ask it. */
export interface Place {
  readonly runtime: Runtime
  readonly door: McpTasks
  readonly handler: McpHttpHandler
  readonly face: McpHttpHandler['fetch']
  call(method: string, params?: Readonly<Record<string, unknown>>, sent?: Sent): Promise<Answered>
  /** The text of an answer, byte for byte. */
  text(method: string, params: Readonly<Record<string, unknown>>, sent?: Sent): Promise<string>
  /** Starts a tool, and gives back its task. */
  begin(name: string, args?: Readonly<Record<string, unknown>>, sent?: Sent): Promise<DetailedTask>
  get(taskId: string | undefined, sent?: Sent): Promise<DetailedTask>
  /** The task once it is so. */
  until(taskId: string | undefined, status: DetailedTask['status']): Promise<DetailedTask>
  answer(taskId: string, inputResponses: Readonly<Record<string, unknown>>, sent?: Sent): Promise<Answered>
  /** Messages of a stream. */
  listen(taskIds: readonly string[], sent?: Sent): Promise<Listening>
  close(): Promise<void>
}

/** An open stream. */
export interface Listening {
  readonly response: Response
  next(): Promise<Record<string, unknown> | undefined>
  cancel(): Promise<void>
}

export interface PlaceOptions extends McpTasksOptions {
  readonly runtime?: RuntimeOptions
  /** Default those of ./tools.ts. */
  readonly tools?: (door: McpTasks, runtime: Runtime) => void
}

export async function openPlace({
  runtime: runtimeOptions = {},
  tools = (door) => defineTools(door),
  ...options
}: PlaceOptions = {}): Promise<Place> {
  const runtime = await createRuntime(runtimeOptions)
  const door = createMcpTasks(runtime, { pollIntervalMs: 20, ...options })
  tools(door, runtime)
  await door.start()
  const handler = createMcpHandler((context) => makeServer(door, context))
  const face = door.fetch(handler)
  let isClosed = false
  const close = async (): Promise<void> => {
    if (isClosed) return
    isClosed = true
    door.close()
    await handler.close()
    await runtime.close({ policy: 'terminate', graceMs: 100 })
  }
  onTestFinished(close)
  const ask = async (method: string, params: Readonly<Record<string, unknown>>, sent: Sent): Promise<Response> =>
    face(requestOf(method, params, sent), authOf(sent.as))
  const place: Place = {
    runtime,
    door,
    handler,
    face,
    close,
    async call(method, params = {}, sent = {}) {
      const response = await ask(method, params, sent)
      return { status: response.status, ...((await response.json()) as object) }
    },
    async text(method, params, sent = {}) {
      return (await ask(method, params, { id: 1, ...sent })).text()
    },
    async begin(name, args = {}, sent = {}) {
      const { result, error } = await place.call('tools/call', { name, arguments: args }, sent)
      if (result?.resultType !== 'task') throw new Error(`no task: ${JSON.stringify(result ?? error)}`)
      return result as unknown as DetailedTask
    },
    async get(taskId, sent = {}) {
      const { result, error } = await place.call('tasks/get', { taskId }, sent)
      if (result === undefined) throw new Error(`not there: ${JSON.stringify(error)}`)
      return result as unknown as DetailedTask
    },
    async until(taskId, status) {
      for (;;) {
        const task = await place.get(taskId)
        if (task.status === status) return task
        await runtime.flush()
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
    },
    answer: (taskId, inputResponses, sent = {}) => place.call('tasks/update', { taskId, inputResponses }, sent),
    async listen(taskIds, sent = {}) {
      const response = await ask('subscriptions/listen', { notifications: { taskIds } }, { id: 'L', ...sent })
      return listeningTo(response)
    },
  }
  return place
}

/** Reads what a stream of server-sent events says. */
export function listeningTo(response: Response): Listening {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  let buffered = ''
  return {
    response,
    async next() {
      for (;;) {
        const end = buffered.indexOf('\n\n')
        if (end >= 0) {
          const data = buffered
            .slice(0, end)
            .split('\n')
            .find((line) => line.startsWith('data: '))
          buffered = buffered.slice(end + 2)
          if (data !== undefined) return JSON.parse(data.slice(6)) as Record<string, unknown>
          continue
        }
        const read = await reader?.read()
        if (read === undefined || read.done) return undefined
        buffered += read.value
      }
    },
    cancel: async () => {
      await reader?.cancel()
    },
  }
}
