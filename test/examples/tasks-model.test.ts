import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import type { AddressInfo } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { checkCommandService } from '../../examples/testing/tasks-model.js'
import type { RunId, TaskCommand } from '../../src/tasks/public.js'
import { ModelError, openTasks, type TasksPort } from '../../src/testing/index.js'

/** Serves a port over HTTP until the test is over; gives its address. */
async function serve({ submit, run }: TasksPort): Promise<string> {
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    try {
      const [, , id = ''] = (request.url ?? '').split('/')
      const command = (): Promise<TaskCommand> => text(request).then((body) => JSON.parse(body) as TaskCommand)
      const body = request.method === 'POST' ? await submit(await command()) : await run?.(id as RunId)
      response.end(JSON.stringify(body))
    } catch (error) {
      response.writeHead(409).end(JSON.stringify({ code: (error as { readonly code: string }).code }))
    }
  }
  const server = createServer((request, response) => void answer(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const search = { numRuns: 5, maxSteps: 40, seed: 5 }

it('the example of a command service agrees with the model of tasks', async () => {
  await expect(checkCommandService(async () => serve((await openTasks()).port), search)).resolves.toBeUndefined()
})

it('a service that shows a run as ready too early is found', async () => {
  const open = async (): Promise<string> => {
    const { port } = await openTasks()
    const run: TasksPort['run'] = async (id) => {
      const { state } = (await port.run?.(id)) ?? {}
      return { state: state === 'scheduled' ? 'ready' : state }
    }
    return serve({ submit: (command) => port.submit(command), run })
  }
  const report: unknown = await checkCommandService(open, { ...search, maxSteps: 10 }).catch((error: unknown) => error)
  const { cause } = report as Error
  expect(cause).toBeInstanceOf(ModelError)
  expect((cause as ModelError).message).toMatch(/^run /)
  expect((cause as ModelError).data.steps.at(-1)).toMatch(/^{"type":"(run|task)_create"/)
})
