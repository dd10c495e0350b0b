import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createRuntime } from '../../src/create-runtime.js'
import { createMcpTasks } from '../../src/mcp/index.js'
import { accepted, openPlace, type Answered, type Place, type Sent } from './support/place.js'
import { defineTools } from './support/tools.js'

const unknownId = 'A'.repeat(32)
const undeclared = { declares: false } as const

/** Calls a tool as a host that does not declare the extension. */
function callTool(place: Place, name: string, args: object, sent: Sent = {}): Promise<Answered> {
  return place.call('tools/call', { name, arguments: args }, { ...undeclared, ...sent })
}

/** The text that a call is answered with. */
function textOf({ result }: Answered): string {
  const [content] = (result?.['content'] ?? []) as readonly { readonly text: string }[]
  return content?.text ?? ''
}

/** Begins a task as such a host; its id is in the text. */
async function begin(place: Place, name: string, args: object, sent: Sent = {}): Promise<string> {
  const [, taskId = ''] = / ([\w-]{32}) /.exec(textOf(await callTool(place, name, args, sent))) ?? []
  return taskId
}

describe('companion tools', () => {
  it('are listed where the door has them, and only there; their names are taken [M-74]', async () => {
    const namesOf = async (place: Place): Promise<readonly string[]> => {
      const { result } = await place.call('tools/list', {}, undeclared)
      return ((result?.['tools'] ?? []) as readonly { readonly name: string }[])
        .map(({ name }) => name)
        .filter((name) => name.startsWith('task_'))
    }
    expect(await namesOf(await openPlace({ companionTools: true }))).toEqual([
      'task_status',
      'task_answer',
      'task_cancel',
    ])
    expect(await namesOf(await openPlace())).toEqual([])
    const runtime = await createRuntime({})
    onTestFinished(() => runtime.close({ policy: 'terminate', graceMs: 100 }))
    const door = createMcpTasks(runtime, { companionTools: true })
    onTestFinished(() => door.close())
    expect(() => door.tool('task_cancel', {}, () => ({ content: [] }))).toThrowError(
      expect.objectContaining({ code: 'mcp_tool_defined' }),
    )
  })

  it('lead a host without the extension from the id to the result, over a restart [M-74] [M-75]', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'stateward-mcp-companion-'))
    onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }))
    const first = await openPlace({ companionTools: true, runtime: { dataDir } })
    const taskId = await begin(first, 'confirm_delete', { filename: 'a' })
    await first.until(taskId, 'input_required')
    const asked = textOf(await callTool(first, 'task_status', { taskId }))
    expect(asked).toContain(`task ${taskId} asks`)
    expect(asked).toContain('"message":"delete a?"')
    await first.close()
    const second = await openPlace({ companionTools: true, runtime: { dataDir } })
    const refused = await callTool(second, 'task_answer', { taskId, answers: { confirm: { action: 'maybe' } } })
    expect(refused.result?.['isError']).toBe(true)
    const taken = await callTool(second, 'task_answer', { taskId, answers: { confirm: accepted({ confirm: true }) } })
    expect(taken.result).toMatchObject({ content: [{ type: 'text', text: 'the answers are taken' }] })
    await second.until(taskId, 'completed')
    expect((await callTool(second, 'task_status', { taskId })).result).toMatchObject({
      resultType: 'complete',
      content: [{ type: 'text', text: 'deleted a' }],
    })
  })

  it('cancel a task, which nobody awaits [M-74] [M-75]', async () => {
    const place = await openPlace({ companionTools: true })
    const taskId = await begin(place, 'slow_compute', { seconds: 60 })
    expect(textOf(await callTool(place, 'task_cancel', { taskId }))).toBe('the task is asked to end')
    await place.until(taskId, 'cancelled')
    expect(textOf(await callTool(place, 'task_status', { taskId }))).toBe(`task ${taskId} was cancelled`)
  })

  it('answer the id of somebody else like one that never was, in every byte [M-60] [M-74]', async () => {
    const place = await openPlace({ companionTools: true })
    const taskId = await begin(place, 'confirm_delete', { filename: 'b' }, { as: 'alice' })
    await place.runtime.flush()
    for (const [name, more] of [
      ['task_status', {}],
      ['task_answer', { answers: { confirm: accepted({ confirm: true }) } }],
      ['task_cancel', {}],
    ] as const) {
      const ask = (id: string): Promise<string> =>
        place.text('tools/call', { name, arguments: { taskId: id, ...more } }, { ...undeclared, as: 'mallory' })
      const unknown = await ask(unknownId)
      expect(unknown).toContain('Unknown task')
      expect(await ask(taskId)).toBe(unknown)
    }
    expect(textOf(await callTool(place, 'task_status', { taskId }, { as: 'alice' }))).toContain(taskId)
  })

  it('a call that ends within inlineMs is answered with its result, of a question with the id [M-75]', async () => {
    const place = await openPlace({
      companionTools: true,
      tools: (door) => {
        defineTools(door)
        door.tool('quick', { inlineMs: 60_000 }, () => ({ content: [{ type: 'text', text: 'quick' }] }))
        door.tool('asking', { inlineMs: 60_000 }, async (_args, task) => {
          const requestedSchema = { type: 'object', properties: {} }
          await task.input({ go: { method: 'elicitation/create', params: { message: 'go?', requestedSchema } } })
          return { content: [] }
        })
      },
    })
    expect((await callTool(place, 'quick', {})).result).toMatchObject({ content: [{ type: 'text', text: 'quick' }] })
    expect(textOf(await callTool(place, 'asking', {}))).toMatch(/^task [\w-]{32} asks.*"message":"go\?"/)
    const required = await callTool(place, 'failing_job', {})
    expect(required.error?.code).toBe(-32021)
  })

  it('serve hosts of the older line, to whom no schema of an output is listed [M-22] [M-75]', async () => {
    const place = await openPlace({ companionTools: true })
    const ask = async (method: string, params: object): Promise<Answered['result']> => {
      const response = await place.face(
        new Request('http://127.0.0.1/mcp', {
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            accept: 'application/json, text/event-stream',
            'mcp-protocol-version': '2025-11-25',
          },
          body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
        }),
      )
      const body = await response.text()
      const data = body.split('\n').find((line) => line.startsWith('data: '))
      return (JSON.parse(data === undefined ? body : data.slice(6)) as Pick<Answered, 'result'>).result ?? {}
    }
    const listed = await ask('tools/list', {})
    expect(JSON.stringify(listed)).toContain('"structured"')
    expect(JSON.stringify(listed)).not.toContain('outputSchema')
    const called = await ask('tools/call', { name: 'slow_compute', arguments: { seconds: 0, label: 'O' } })
    const [, taskId = ''] = / ([\w-]{32}) /.exec(JSON.stringify(called)) ?? []
    await place.until(taskId, 'completed')
    expect(await ask('tools/call', { name: 'task_status', arguments: { taskId } })).toEqual({
      content: [{ type: 'text', text: 'computed O' }],
    })
  })

  it('are refused by what the methods are refused by [M-62] [M-73] [M-74]', async () => {
    const place = await openPlace({
      companionTools: true,
      limits: { minPollMs: 60_000 },
      authorize: (action) => action !== 'cancel',
    })
    const taskId = await begin(place, 'confirm_delete', { filename: 'c' })
    const looks: boolean[] = []
    for (let look = 0; look < 5; look += 1)
      looks.push((await callTool(place, 'task_status', { taskId })).result?.['isError'] === true)
    expect(looks).toEqual([false, false, false, false, true])
    expect((await callTool(place, 'task_cancel', { taskId })).result).toMatchObject({
      isError: true,
      content: [{ type: 'text', text: 'Unknown task' }],
    })
  })
})
