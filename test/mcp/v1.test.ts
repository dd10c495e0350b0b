import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client as LaterClient } from '@modelcontextprotocol/client'
import { createTaskSessionFromClient } from '@modelcontextprotocol/ext-tasks/client'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { InMemoryTaskMessageQueue } from '@modelcontextprotocol/sdk/experimental/tasks'
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { CallToolResultSchema } from '@modelcontextprotocol/sdk/types.js'
import { expect, it, onTestFinished } from 'vitest'
import { createTaskStore, registerTools } from '../../src/mcp/v1/index.js'
import { openPlace, type Place } from './support/place.js'

/** A server of the older line, on a session of somebody. */
function serverOf({ door }: Place, principal: string): McpServer {
  const server = new McpServer(
    { name: 'v1', version: '1' },
    {
      capabilities: { tasks: { list: {}, cancel: {}, requests: { tools: { call: {} } } } },
      taskStore: createTaskStore(door, { principal }),
      taskMessageQueue: new InMemoryTaskMessageQueue(),
    },
  )
  registerTools(server, door)
  return server
}

/** A client of the older line that is logged in as somebody. */
async function connect(place: Place, principal = 'alice'): Promise<Client> {
  const server = serverOf(place, principal)
  const client = new Client({ name: 'client', version: '1' }, { capabilities: {} })
  const [one, other] = InMemoryTransport.createLinkedPair()
  await Promise.all([server.connect(one), client.connect(other)])
  return client
}

it('a server of the older line keeps its tasks over a restart, for their principal alone [M-46]', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'stateward-mcp-v1-'))
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }))
  const first = await openPlace({ runtime: { dataDir } })
  const client = await connect(first)
  const ids: string[] = []
  for (const args of [{ seconds: 0, label: 'A' }, { seconds: 60 }, { seconds: 0.1, label: 'B' }]) {
    const stream = client.experimental.tasks.callToolStream(
      { name: 'slow_compute', arguments: args },
      CallToolResultSchema,
      { task: { ttl: 60_000 } },
    )
    for await (const message of stream) {
      if (message.type !== 'taskCreated') continue
      ids.push(message.task.taskId)
      break
    }
  }
  const [done = '', cancelled = '', rerun = ''] = ids
  const { tools } = await client.listTools()
  expect(tools.find(({ name }) => name === 'slow_compute')?.inputSchema).toEqual({
    type: 'object',
    properties: { seconds: { type: 'number' }, label: { type: 'string' } },
    required: [],
  })
  expect(await client.experimental.tasks.getTaskResult(done, CallToolResultSchema)).toMatchObject({
    content: [{ type: 'text', text: 'computed A' }],
  })
  await client.experimental.tasks.cancelTask(cancelled)
  await first.close()
  const second = await openPlace({ runtime: { dataDir } })
  const again = await connect(second)
  expect((await again.experimental.tasks.getTask(done)).status).toBe('completed')
  expect(await again.experimental.tasks.getTaskResult(rerun, CallToolResultSchema)).toMatchObject({
    content: [{ type: 'text', text: 'computed B' }],
  })
  expect((await again.experimental.tasks.getTask(cancelled)).status).toBe('cancelled')
  await expect(again.experimental.tasks.cancelTask(done)).rejects.toMatchObject({ code: -32602 })
  expect((await again.experimental.tasks.listTasks()).tasks.map(({ taskId }) => taskId)).toEqual(ids)
  const other = await connect(second, 'mallory')
  await expect(other.experimental.tasks.getTask(done)).rejects.toMatchObject({ code: -32602 })
  expect((await other.experimental.tasks.listTasks()).tasks).toEqual([])
})

/** A session of the official extension on a client of the later line, which finds the older one. */
async function openSession(place: Place) {
  const client = new LaterClient({ name: 'later', version: '1' }, { capabilities: {} })
  const [one, other] = InMemoryTransport.createLinkedPair()
  // The session takes what JSON can say alone, and nothing in memory leaves `undefined` out as a wire does.
  const send = one.send.bind(one)
  one.send = (message, options) => send(JSON.parse(JSON.stringify(message)) as typeof message, options)
  await Promise.all([serverOf(place, 'alice').connect(one), client.connect(other as never)])
  onTestFinished(() => client.close())
  return createTaskSessionFromClient(client, {
    endpointId: 'test',
    onInputRequest: (): Promise<never> => Promise.reject(new Error('nothing is asked')),
  })
}

it('a session of the official extension follows, cancels and resumes tasks of the older line [M-46]', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'stateward-mcp-v1-'))
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }))
  const first = await openPlace({ runtime: { dataDir } })
  const session = await openSession(first)
  const options = { task: { preference: 'require' } } as const
  const begin = async (args: Readonly<Record<string, string | number>>) => {
    const execution = await session.callTool('slow_compute', args, options)
    if (execution.kind !== 'task') throw new Error('no task')
    return execution
  }
  const done = await begin({ seconds: 0, label: 'S' })
  expect((await done.settle()).outcome).toMatchObject({
    status: 'completed',
    result: { content: [{ text: 'computed S' }] },
  })
  const gone = await begin({ seconds: 60 })
  const [kept, cancelled] = [done, gone].map((execution) => execution.serializeReference())
  expect(kept).toMatchObject({ generation: 'v1' })
  await gone.cancel()
  await first.close()
  const second = await openPlace({ runtime: { dataDir } })
  const again = await openSession(second)
  const outcomeOf = async (reference: unknown) => (await (await again.resumeTask(reference as never)).settle()).outcome
  expect(await outcomeOf(kept)).toMatchObject({ status: 'completed', result: { content: [{ text: 'computed S' }] } })
  expect((await outcomeOf(cancelled)).status).toBe('cancelled')
})
