import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, it, onTestFinished } from 'vitest'
import { metaOf } from '../mcp/support/place.js'
import { buildLibrary } from '../support/build.js'

it('serves the tools of a plan to a host, over stdio', { timeout: 60_000 }, async () => {
  const dist = await buildLibrary()
  const home = await mkdtemp(join(tmpdir(), 'stateward-cli-mcp-'))
  onTestFinished(() => rm(home, { recursive: true, force: true }))
  const plan = join(home, 'plan.json')
  const tools = [
    { name: 'greet', description: 'Greets', command: 'echo', args: ['hello'] },
    { name: 'fail', command: 'false' },
    { name: 'explain', command: 'sh', args: ['-c', 'echo "why it failed" >&2; exit 3'] },
    {
      name: 'half',
      command: 'sh',
      args: ['-c', 'echo "50% sorting"; while [ ! -e go ]; do sleep 0.01; done'],
      progress: { pattern: '^(?<percent>\\d+)% (?<message>.*)$' },
    },
  ]
  await writeFile(plan, JSON.stringify({ name: 'example', tools }))
  const main = join(dist, 'src/cli/main.js')
  const child = spawn(process.execPath, [main, 'mcp', plan, '--data-dir', join(home, 'data')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const waiting = new Map<number, (message: unknown) => void>()
  createInterface({ input: child.stdout }).on('line', (line) => {
    const message = JSON.parse(line) as { readonly id: number }
    waiting.get(message.id)?.(message)
  })
  let id = 0
  const call = async (method: string, params: object): Promise<Record<string, unknown>> => {
    id += 1
    const answered = new Promise<unknown>((resolve) => waiting.set(id, resolve))
    child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params: { ...params, _meta: metaOf({}) } })}\n`)
    return ((await answered) as { readonly result: Record<string, unknown> }).result
  }
  const resultOf = async (name: string): Promise<unknown> => {
    const { taskId } = await call('tools/call', { name, arguments: {} })
    for (;;) {
      const { status, result } = await call('tasks/get', { taskId })
      if (status === 'completed') return result
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
  expect((await call('tools/list', {}))['tools']).toMatchObject([
    { name: 'greet', description: 'Greets' },
    { name: 'fail', description: 'Runs false' },
    { name: 'explain' },
    { name: 'half' },
  ])
  expect(await resultOf('greet')).toMatchObject({ content: [{ type: 'text', text: 'hello\n' }] })
  expect(await resultOf('fail')).toMatchObject({
    isError: true,
    content: [{ type: 'text', text: 'fail: ended with exit code 1 instead of exit code 0' }],
  })
  expect(await resultOf('explain')).toMatchObject({
    isError: true,
    content: [
      { type: 'text', text: 'explain: ended with exit code 3 instead of exit code 0' },
      { type: 'text', text: 'why it failed\n' },
    ],
  })
  const { taskId } = await call('tools/call', { name: 'half', arguments: {} })
  let task = await call('tasks/get', { taskId })
  while (task['statusMessage'] === undefined) task = await call('tasks/get', { taskId })
  expect(task).toMatchObject({ status: 'working', statusMessage: '50% sorting' })
  await writeFile(join(home, 'go'), '')
  child.stdin.end()
  expect(await once(child, 'exit')).toEqual([0, null])
})
