import {
  CancelTaskResultV2Schema,
  CreateTaskResultV2Schema,
  GetTaskResultV2Schema,
  UpdateTaskResultV2Schema,
} from '@modelcontextprotocol/ext-tasks/core/v2'
import { describe, expect, it } from 'vitest'
import { accepted, openPlace } from './support/place.js'

const unknownId = 'A'.repeat(32)

describe('a call of a durable tool', () => {
  it('is answered with a handle, and the task comes to its result [M-4] [M-10]', async () => {
    const place = await openPlace()
    const created = await place.begin('slow_compute', { seconds: 0, label: 'A' })
    expect(CreateTaskResultV2Schema.safeParse(created).error).toBeUndefined()
    expect(created.taskId).toMatch(/^[\w-]{32}$/)
    const done = await place.until(created.taskId, 'completed')
    expect(GetTaskResultV2Schema.safeParse(done).error).toBeUndefined()
    expect(done.result).toEqual({ resultType: 'complete', content: [{ type: 'text', text: 'computed A' }] })
    expect(Date.parse(done.lastUpdatedAt)).toBeGreaterThanOrEqual(Date.parse(done.createdAt))
    expect(done).toMatchObject({ ttlMs: 86_400_000, pollIntervalMs: 20 })
  })

  it('asks and goes on [M-11]', async () => {
    const place = await openPlace()
    const { taskId } = await place.begin('confirm_delete', { filename: 'a' })
    const asked = await place.until(taskId, 'input_required')
    expect(GetTaskResultV2Schema.safeParse(asked).error).toBeUndefined()
    expect(Object.keys(asked.inputRequests ?? {})).toEqual(['confirm'])
    const ack = await place.answer(taskId, { confirm: accepted({ confirm: true }) })
    expect(UpdateTaskResultV2Schema.safeParse(ack.result).error).toBeUndefined()
    const done = await place.until(taskId, 'completed')
    expect(done.result?.content).toEqual([{ type: 'text', text: 'deleted a' }])
  })

  it('is cancelled [M-23]', async () => {
    const place = await openPlace()
    const { taskId } = await place.begin('slow_compute', { seconds: 60 })
    const ack = await place.call('tasks/cancel', { taskId })
    expect(CancelTaskResultV2Schema.safeParse(ack.result).error).toBeUndefined()
    const ended = await place.until(taskId, 'cancelled')
    expect(GetTaskResultV2Schema.safeParse(ended).error).toBeUndefined()
    expect((await place.call('tasks/cancel', { taskId })).result?.resultType).toBe('complete')
  })

  it('tells errors of tools from errors of the protocol [M-7]', async () => {
    const place = await openPlace()
    const failing = await place.begin('failing_job')
    const protocol = await place.begin('protocol_error_job')
    expect((await place.until(failing.taskId, 'completed')).result).toMatchObject({
      isError: true,
      content: [{ type: 'text', text: 'the job failed' }],
    })
    const failed = await place.until(protocol.taskId, 'failed')
    expect(GetTaskResultV2Schema.safeParse(failed).error).toBeUndefined()
    expect(failed.error).toEqual({ code: -32603, message: 'exploded', data: { why: 'test' } })
  })

  it('is refused without the capability, before the id is looked at [M-2]', async () => {
    const place = await openPlace()
    const { taskId } = await place.begin('slow_compute', { seconds: 60 })
    for (const method of ['tasks/get', 'tasks/update', 'tasks/cancel']) {
      for (const id of [taskId, unknownId]) {
        const { status, error } = await place.call(method, { taskId: id, inputResponses: {} }, { declares: false })
        expect({ status, code: error?.code }).toEqual({ status: 400, code: -32021 })
        expect(error?.data).toEqual({
          requiredCapabilities: { extensions: { 'io.modelcontextprotocol/tasks': {} } },
        })
      }
    }
    const required = await place.call('tools/call', { name: 'failing_job', arguments: {} }, { declares: false })
    expect({ status: required.status, code: required.error?.code }).toEqual({ status: 400, code: -32021 })
  })
})

describe('listening to tasks', () => {
  it('tells the present state, every change, and the end [M-28] [M-29] [M-30] [M-31] [M-32]', async () => {
    const place = await openPlace()
    const { taskId } = await place.begin('confirm_delete', { filename: 'z' })
    const other = await place.begin('slow_compute', { seconds: 60 }, { as: 'mallory' })
    const refused = await place.listen([taskId], { declares: false })
    expect(refused.response.status).toBe(400)
    await place.until(taskId, 'input_required')
    const listening = await place.listen([taskId, other.taskId, unknownId])
    const meta = { 'io.modelcontextprotocol/subscriptionId': 'L' }
    expect(await listening.next()).toEqual({
      jsonrpc: '2.0',
      method: 'notifications/subscriptions/acknowledged',
      params: { notifications: { taskIds: [taskId] }, _meta: meta },
    })
    expect(await listening.next()).toMatchObject({
      method: 'notifications/tasks',
      params: { taskId, status: 'input_required' },
    })
    await place.answer(taskId, { confirm: accepted({ confirm: true }) })
    expect(await listening.next()).toMatchObject({ params: { taskId, status: 'working' } })
    const last = (await listening.next()) as { readonly params: { readonly _meta: unknown } }
    const { resultType: _, ...told } = (await place.get(taskId)) as unknown as Record<string, unknown>
    expect(last.params).toEqual({ ...told, _meta: meta })
    expect(await listening.next()).toEqual({ jsonrpc: '2.0', id: 'L', result: { resultType: 'complete', _meta: meta } })
    expect(await listening.next()).toBeUndefined()
  })
})
