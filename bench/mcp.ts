/**
 * What the door of MCP costs: a call that becomes a durable task beside a plain tool of the same server, `tasks/get` of a task with a
 * result of 1 MiB, attaching to a server with 100 tools, and the memory of open tasks with a stream each.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server'
import { createRuntime, type RuntimeOptions } from '../src/index.js'
import { createMcpTasks, type FetchFace, type McpTasks } from '../src/mcp/index.js'
import { elapsed, interleave, liveHeapBytes, processorElapsed, type Bench } from './harness.js'
import { median } from './statistics.js'

const text = (said: string) => ({ content: [{ type: 'text' as const, text: said }] })

const capabilities = { elicitation: {}, extensions: { 'io.modelcontextprotocol/tasks': {} } }
const meta = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'bench', version: '1' },
  'io.modelcontextprotocol/clientCapabilities': capabilities,
}

let lastId = 0

async function ask(face: FetchFace, method: string, params: Readonly<Record<string, unknown>>): Promise<Response> {
  const name = params['taskId'] ?? params['name']
  lastId += 1
  return face(
    new Request('http://127.0.0.1/mcp', {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': method,
        ...(typeof name === 'string' && { 'mcp-name': name }),
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: lastId, method, params: { ...params, _meta: meta } }),
    }),
  )
}

/** Takes an answer as whoever sends it does: chunk by chunk, and no longer than that. */
async function send({ body }: Response): Promise<void> {
  const reader = body?.getReader()
  while ((await reader?.read())?.done === false);
}

async function taskOf(face: FetchFace, name: string): Promise<string> {
  const body = (await (await ask(face, 'tools/call', { name, arguments: {} })).json()) as {
    readonly result: { readonly taskId: string }
  }
  return body.result.taskId
}

interface Place extends AsyncDisposable {
  readonly door: McpTasks
  readonly face: FetchFace
}

async function openPlace(runtimeOptions: RuntimeOptions, most: number): Promise<Place> {
  const runtime = await createRuntime(runtimeOptions)
  const limits = { maxLive: most, maxLivePerPrincipal: most, maxStreamsPerPrincipal: most }
  const door = createMcpTasks(runtime, { limits })
  // Done elsewhere, so that creation alone is measured and no run of a tool with it.
  door.tool('durable', { recovery: 'external' }, () => text('done'))
  door.tool('large', {}, () => text('x'.repeat(2 ** 20)))
  door.tool('asks', {}, async (_, task) => {
    await task.input({
      go: { method: 'elicitation/create', params: { mode: 'form', message: 'go?', requestedSchema: {} } },
    })
    return text('gone')
  })
  await door.start()
  const handler = createMcpHandler((context) => {
    const server = door.attach(new McpServer({ name: 'bench', version: '1' }), context)
    server.registerTool('plain', {}, () => text('done'))
    return server
  })
  const close = async (): Promise<void> => {
    door.close()
    await handler.close()
    await runtime.close({ policy: 'terminate', graceMs: 1000 })
  }
  return { door, face: door.fetch(handler), [Symbol.asyncDispose]: close }
}

/** Milliseconds that something took, and how many of them it worked. */
interface Sample {
  readonly wall: number
  readonly processor: number
}

/** Calls that come at the same time, as those of several hosts do. */
async function callMany(face: FetchFace, name: string, count: number, atOnce: number): Promise<Sample> {
  let processor = 0
  const wall = await elapsed(async () => {
    processor = await processorElapsed(async () => {
      for (let done = 0; done < count; done += atOnce) {
        const calls = Array.from({ length: atOnce }, async () =>
          (await ask(face, 'tools/call', { name, arguments: {} })).arrayBuffer(),
        )
        await Promise.all(calls)
      }
    })
  })
  return { wall, processor }
}

/** Asks for a task again and again, and takes each answer as whoever sends it does. */
async function getMany(face: FetchFace, taskId: string, count: number): Promise<void> {
  for (let done = 0; done < count; done += 1) await send(await ask(face, 'tasks/get', { taskId }))
}

const bench: Bench = {
  name: 'mcp',
  async run({ quick, progress }) {
    const [calls, atOnce, rounds] = quick ? [100, 20, 5] : [2000, 50, 5]
    // Enough of them that what is measured is compiled, here as in the SDK.
    const warmups = quick ? 10 : 2
    const directory = await mkdtemp(join(tmpdir(), 'stateward-bench-mcp-'))
    try {
      await using place = await openPlace({ dataDir: directory }, 1_000_000)
      progress(`${calls} calls, ${atOnce} at once, ${rounds} rounds`)
      const samples = await interleave(
        {
          plain: () => callMany(place.face, 'plain', calls, atOnce),
          durable: () => callMany(place.face, 'durable', calls, atOnce),
        },
        { rounds, warmups },
      )
      progress('tasks/get of 1 MiB')
      const taskId = await taskOf(place.face, 'large')
      while ((await place.door.get(taskId))?.status !== 'completed')
        await new Promise((resolve) => setTimeout(resolve, 5))
      const gets = quick ? 50 : 500
      await getMany(place.face, taskId, 500)
      const overFetch = await elapsed(() => getMany(place.face, taskId, gets))
      const intoOneBuffer = await elapsed(async () => {
        for (let count = 0; count < gets; count += 1)
          await (await ask(place.face, 'tasks/get', { taskId })).arrayBuffer()
      })
      const serialized = await elapsed(async () => {
        for (let count = 0; count < gets; count += 1) JSON.stringify(await place.door.get(taskId))
      })
      progress('attach with 100 tools')
      const attachUs = await attachCost(quick ? 20 : 500)
      const open = quick ? 100 : 10_000
      progress(`${open} open tasks with a stream each`)
      const bytesPerTask = await memoryOf(open)
      const us = (values: readonly Sample[], of: keyof Sample): number =>
        (1000 * median(values.map((sample) => sample[of]))) / calls
      const { plain, durable } = samples
      return {
        name: 'mcp',
        configuration: { calls, atOnce, rounds, gets, openTasks: open },
        rows: [
          { what: 'a plain call', 'us each': us(plain, 'wall'), 'of processor': us(plain, 'processor') },
          {
            what: 'a call that becomes a task',
            'us each': us(durable, 'wall'),
            'of processor': us(durable, 'processor'),
          },
          { what: 'tasks/get of 1 MiB over fetch', 'us each': (1000 * overFetch) / gets },
          { what: 'the same, put together by its reader', 'us each': (1000 * intoOneBuffer) / gets },
          { what: 'the same, read and serialized', 'us each': (1000 * serialized) / gets },
          { what: 'attach, per tool', 'us each': attachUs },
        ],
        ratios: {
          createVsPlain: us(durable, 'wall') / us(plain, 'wall'),
          createVsPlainOfProcessor: us(durable, 'processor') / us(plain, 'processor'),
          getsPerSecond: (1000 * gets) / overFetch,
          getsIntoOneBufferPerSecond: (1000 * gets) / intoOneBuffer,
          getsSerializedPerSecond: (1000 * gets) / serialized,
          attachUsPerTool: attachUs,
          bytesPerOpenTask: bytesPerTask,
        },
        aims: { createVsPlain: { atMost: 1.5 }, getsPerSecond: { atLeast: 1000 }, attachUsPerTool: { atMost: 50 } },
      }
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  },
}

/** Microseconds per tool that a server is given. */
async function attachCost(servers: number): Promise<number> {
  const runtime = await createRuntime()
  const door = createMcpTasks(runtime)
  for (let number = 0; number < 100; number += 1)
    door.tool(`tool_${number}`, { description: 'one' }, () => text('done'))
  const attachOne = (): void => void door.attach(new McpServer({ name: 'bench', version: '1' }), { era: 'modern' })
  for (let count = 0; count < 20; count += 1) attachOne()
  const milliseconds = await elapsed(() => {
    for (let count = 0; count < servers; count += 1) attachOne()
  })
  door.close()
  await runtime.close()
  return (1000 * milliseconds) / servers / 100
}

/** Bytes of live heap per task that waits for an answer, with a stream that is open. */
async function memoryOf(count: number): Promise<number> {
  await using place = await openPlace({}, count + 10)
  const before = await liveHeapBytes()
  const streams: Response[] = []
  const openOne = async (): Promise<void> => {
    const taskId = await taskOf(place.face, 'asks')
    streams.push(await ask(place.face, 'subscriptions/listen', { notifications: { taskIds: [taskId] } }))
  }
  for (let opened = 0; opened < count; opened += 100) await Promise.all(Array.from({ length: 100 }, openOne))
  // Reading all of them costs much more than they need to come to their questions.
  while ((await place.door.list()).some(({ status }) => status !== 'input_required'))
    await new Promise((resolve) => setTimeout(resolve, 1000))
  const after = await liveHeapBytes()
  for (const stream of streams) await stream.body?.cancel()
  return (after - before) / count
}

export default bench
