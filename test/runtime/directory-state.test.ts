import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as v from 'valibot'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { readDirectory } from '../../src/directory-state.js'
import { summarize } from '../../src/directory-summary.js'
import { defineProcess } from '../../src/processes/index.js'
import { createRuntime } from '../../src/runtime.js'
import type { TaskId } from '../../src/tasks/index.js'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'stateward-read-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

const kind = 'background_tool_op'

/** Names and bytes of all files. */
async function contents(): Promise<Record<string, string>> {
  const names = (await readdir(directory)).sort()
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await readFile(join(directory, name), 'base64')])),
  )
}

it('reads the state of a directory beside its owner, changes nothing there, and reads it again when that has gone', async () => {
  const runtime = await createRuntime({ dataDir: directory })
  const session = runtime.session('agent')
  await session.run({ kind, displayName: 'done' }, () => 'well').outcome
  await session.run({ kind, displayName: 'broken' }, () => Promise.reject(new Error('no'))).outcome
  const running = session.run({ kind, displayName: 'busy' }, ({ signal }) => {
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
  })
  const { tasks } = runtime
  tasks.handle('fails', () => Promise.reject(new Error('not now')))
  tasks.handle('works', () => 'done')
  const works = await tasks.submit({ kind: 'works', budgets: { token: 500 } })
  await tasks.outcome(works)
  const later = await tasks.submit({ kind: 'unhandled', at: Date.now() + 3_600_000, budgets: { token: 700 } })
  const blocked = await tasks.submit({ kind: 'unhandled', dependsOn: [later] })
  await session.flush()

  const before = await contents()
  const summary = await summarize(await readDirectory({ directory }))
  expect(await contents()).toEqual(before)
  expect(summary).toMatchObject({
    owner: { pid: process.pid, standing: 'running' },
    brokenEnd: null,
    cuts: [],
    sessions: {
      total: 1,
      entries: [
        {
          id: 'agent',
          unfinished: {
            total: 1,
            entries: [
              { id: running.id, kind, displayName: 'busy', status: 'running', startedAtMs: expect.any(Number) },
            ],
          },
          ended: { completed: 1, failed: 1 },
          lastEnd: 2,
        },
      ],
    },
    tasks: {
      total: 3,
      paused: false,
      runs: { scheduled: 2, completed: 1, failed: 0 },
      kinds: {
        total: 2,
        entries: [
          { kind: 'unhandled', runs: { scheduled: 2 } },
          { kind: 'works', runs: { completed: 1 } },
        ],
      },
      budgets: {
        total: 2,
        // What may still be spent of stands first.
        entries: [
          { taskId: later, dimension: 'token', limit: 700, consumed: 0, reserved: 0, exhausted: false },
          { taskId: works, dimension: 'token', limit: 500, consumed: 0, reserved: 0, exhausted: false },
        ],
      },
    },
  })
  const waiting = new Map<TaskId | string, string>(
    summary.tasks.waiting.entries.map(({ taskId, waitsFor }) => [taskId, waitsFor]),
  )
  expect(waiting).toEqual(
    new Map([
      [later, 'its time'],
      [blocked, 'prerequisites'],
    ]),
  )
  expect(JSON.parse(JSON.stringify(summary))).toEqual(summary)

  await runtime.close({ policy: 'terminate' })
  const after = await summarize(await readDirectory({ directory }))
  expect(after.owner).toBeNull()
  expect(after.sessions.entries[0]).toMatchObject({
    unfinished: { total: 0, entries: [] },
    ended: { completed: 1, failed: 1, terminated: 1 },
  })
})

it('tells what attempts have done and what they ask, beside their owner and after it', async () => {
  const runtime = await createRuntime({ dataDir: directory })
  const { tasks } = runtime
  tasks.handle('report', async ({ step, waitFor }) => {
    await step('plan', () => 1)
    await step('draft', () => 2)
    await waitFor('approval', undefined, { whom: 'editor', timeoutMs: 3_600_000 })
  })
  const taskId = await tasks.submit({ kind: 'report' })
  await expect.poll(() => tasks.questions().length).toBe(1)
  await runtime.flush()
  const question = { taskId, kind: 'report', name: 'approval', whom: 'editor', untilMs: expect.any(Number) }
  const live = (await summarize(await readDirectory({ directory }))).tasks
  expect(live.running).toMatchObject({
    total: 1,
    entries: [{ taskId, kind: 'report', attempt: 1, isWaiting: true, steps: { total: 2, entries: ['plan', 'draft'] } }],
  })
  expect(live.questions).toMatchObject({ total: 1, entries: [question] })
  await runtime.close()
  const dead = (await summarize(await readDirectory({ directory }))).tasks
  expect(dead.running).toEqual({ total: 0, entries: [] })
  expect(dead.questions).toMatchObject({ total: 1, entries: [question] })
  expect(dead.waiting.entries).toMatchObject([{ taskId, waitsFor: 'an answer', untilMs: question.untilMs }])
})

it('tells what processes wait for', async () => {
  const runtime = await createRuntime({ dataDir: directory })
  const { processes } = runtime
  const options = { signals: { approval: v.boolean() }, disposition: 'rerunnable' } as const
  const agent = defineProcess('agent', options, (_, { waitFor }) => waitFor('approval'))
  processes.define(agent)
  await processes.start(agent, undefined, { id: 'article-1', label: 'cranes' })
  await expect.poll(async () => (await processes.store.getProcess('article-1'))?.wait).toBeDefined()
  await runtime.flush()
  const { processes: summary } = await summarize(await readDirectory({ directory }))
  expect(summary).toMatchObject({
    total: 1,
    statuses: { running: 1 },
    open: { total: 1, entries: [{ id: 'article-1', label: 'cranes', waitsFor: 'signal approval', untilMs: null }] },
  })
  await runtime.close()
})

it('shows the beginning of long lists and how long they are', async () => {
  const runtime = await createRuntime({ dataDir: directory })
  const { tasks } = runtime
  const at = Date.now() + 3_600_000
  await Promise.all(Array.from({ length: 101 }, (_, index) => tasks.submit({ kind: `kind-${index}`, at })))
  const { kinds, waiting } = (await summarize(await readDirectory({ directory }))).tasks
  expect([kinds.total, kinds.entries.length, waiting.total, waiting.entries.length]).toEqual([101, 100, 101, 100])
  await runtime.close()
})

it('refuses a directory that is not there', async () => {
  await expect(readDirectory({ directory: join(directory, 'nowhere') })).rejects.toMatchObject({ code: 'journal_io' })
})

it('reads the directory of a runtime that has a node', async () => {
  await using runtime = await createRuntime({ dataDir: directory, node: { thisNode: '00000000000000a1' as never } })
  await runtime.session('agent').run('done', () => 1).outcome
  const drain = { type: 'enter_maintenance', node: '00000000000000a1' as never } as const
  await runtime.node.submit({ type: 'admin_event', event: drain })
  const read = await readDirectory({ directory })
  expect(read.sessions.map(({ id }) => id)).toEqual(['agent'])
})
