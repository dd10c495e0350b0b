import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { InMemoryTaskMessageQueue } from '@modelcontextprotocol/sdk/experimental/tasks'
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { CallToolResultSchema } from '@modelcontextprotocol/sdk/types.js'
import { expect, it, onTestFinished } from 'vitest'
import { createTaskStore, registerTools } from '../../src/mcp/v1/index.js'
import { openPlace, type Place } from './support/place.js'

/** A client of the older line that is logged in as somebody. */
async function connect({ door }: Place, principal = 'alice'): Promise<Client> {
  const server = new McpServer(
    { name: 'v1', version: '1' },
    {
      capabilities: { tasks: { list: {}, cancel: {}, requests: { tools: { call: {} } } } },
      taskStore: createTaskStore(door, { principal }),
      taskMessageQueue: new InMemoryTaskMessageQueue(),
    },
  )
  registerTools(server, door)
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
