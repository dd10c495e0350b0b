/** What an inspector tells of the time after an earlier entry, and of what goes on since before the entries that it holds. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRuntime, defineTask, type Runtime } from 'stateward'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createDeferred } from '../../../src/base/promises.js'
import { systemClock } from '../../../src/base/clock.js'
import { openSource } from '../../../src/inspect/server/open-source.js'
import type { InspectorSource } from '../../../src/inspect/sources/source.js'
import type {
  BudgetsView,
  FeedsView,
  ListView,
  StreamEntry,
  View,
  WaitsView,
  ViewRequest,
} from '../../../src/inspect/stream/protocol.js'
import { Following, view as viewAt } from '../support/inspector-client.js'

const kind = 'background_tool_op'

const review = defineTask('review', {}, async (_: unknown, context) => {
  await context.step('think', () => 'thought', { spent: () => ({ token: 1200 }) })
  return context.waitFor('approval')
})

async function openRuntime(capacity = 10_000): Promise<{ runtime: Runtime; url: URL; following: Following }> {
  const runtime = await createRuntime({ inspect: { capacity }, tasks: { define: [review] } })
  onTestFinished(() => runtime.close({ policy: 'terminate' }))
  const url = new URL(runtime.inspectorUrl ?? '')
  const following = new Following(url)
  onTestFinished(() => following[Symbol.asyncDispose]())
  await following.until(({ messages }) => messages.length > 0)
  return { runtime, url, following }
}

/** The number of the first entry that is like this. */
async function numberOf(following: Following, isIt: (entry: StreamEntry) => boolean): Promise<number> {
  await following.until(({ entries }) => entries.some(isIt))
  return following.entries.find(isIt)?.n ?? 0
}

/** The number of the first entry after which all of this was told. */
async function numberAfter(
  following: Following,
  ...all: readonly ((entry: StreamEntry) => boolean)[]
): Promise<number> {
  let last = 0
  for (const isIt of all) last = Math.max(last, await numberOf(following, isIt))
  return last
}

const isPart = (part: string, holds: (row: object | null) => boolean) => (entry: StreamEntry) =>
  entry.type === 'part' && entry.part === part && holds(entry.row)

/** That so many ends of a feed are kept. */
const isFeed = (feed: string, kept: number): ((entry: StreamEntry) => boolean) =>
  isPart('feed', (row) => isOpen(row) && 'kept' in row && 'feed' in row && row.feed === feed && row.kept === kept)

const isOpen = (row: object | null): row is object => row !== null

type Ask = (request: ViewRequest) => Promise<View>

/** Feeds, barriers, questions and budgets, in short. */
async function summaryOf(ask: Ask, at: number) {
  const { barriers, questions } = (await ask({ view: 'waits', at })) as WaitsView
  const { feeds } = (await ask({ view: 'feeds', at })) as FeedsView
  const budgets = (await ask({ view: 'budgets', at })) as BudgetsView
  return {
    missing: barriers.rows.map(({ missing, members }) => [missing.map(({ name }) => name), members]),
    questions: questions.rows.map(({ name, taskName }) => [name, taskName]),
    feeds: feeds.map(({ feed, watermark, kept }) => [feed, watermark, kept]),
    budgets: budgets.rows.map(({ name, dimension, limit, consumed }) => [name, dimension, limit, consumed]),
  }
}

async function openRecording(text: string): Promise<InspectorSource> {
  const folder = await mkdtemp(join(tmpdir(), 'stateward-inspect-'))
  const target = join(folder, 'recording.jsonl')
  await writeFile(target, text)
  const locate = (): Promise<string> => Promise.reject(new Error('it is a file'))
  const { signal } = new AbortController()
  const source = await openSource({ target, values: false, locate, clock: systemClock, signal })
  onTestFinished(async () => {
    await source[Symbol.asyncDispose]()
    await rm(folder, { recursive: true })
  })
  return source
}

describe('the past', () => {
  it('has its feeds, barriers, questions and budgets, in the service and in its recording', async () => {
    const { runtime, url, following } = await openRuntime()
    const session = runtime.session('agent')
    const [fetched, listed] = [createDeferred<void>(), createDeferred<void>()]
    const all = session.all([
      session.run({ kind, displayName: 'fetch' }, () => fetched.promise),
      session.run({ kind, displayName: 'list' }, () => listed.promise),
    ])
    const atFirst = await numberOf(following, isPart('barrier', isOpen))
    const order = await runtime.tasks.submit(review, {}, { key: 'order', budgets: { token: 5000 } })
    const whenAsked = await numberAfter(
      following,
      isPart('question', isOpen),
      isPart('budget', (row) => isOpen(row) && 'consumed' in row && row.consumed === 1200),
    )
    fetched.resolve()
    const later = await numberOf(following, isFeed('session:agent', 1))
    await runtime.tasks.answer(order.id, 'approval', true)
    await order.result()
    listed.resolve()
    await all
    const isOver = (row: object | null): boolean => row === null
    const atLast = await numberAfter(
      following,
      isPart('question', isOver),
      isPart('barrier', isOver),
      isFeed('session:agent', 2),
      isFeed('tasks', 1),
    )
    const numbers = [atFirst, whenAsked, later, atLast]
    const ask: Ask = (request) => viewAt(url, request as never)
    const told = await Promise.all(numbers.map((at) => summaryOf(ask, at)))
    const budgets = [['order', 'token', 5000, 1200]]
    expect(told).toEqual([
      {
        missing: [[['fetch', 'list'], 2]],
        questions: [],
        feeds: [
          ['tasks', 0, 0],
          ['session:agent', 0, 0],
        ],
        budgets: [],
      },
      {
        missing: [[['fetch', 'list'], 2]],
        questions: [['approval', 'order']],
        feeds: [
          ['tasks', 0, 0],
          ['session:agent', 0, 0],
        ],
        budgets,
      },
      {
        missing: [[['list'], 2]],
        questions: [['approval', 'order']],
        feeds: [
          ['tasks', 0, 0],
          ['session:agent', 1, 1],
        ],
        budgets,
      },
      {
        missing: [],
        questions: [],
        feeds: [
          ['tasks', expect.any(Number), 1],
          ['session:agent', 2, 2],
        ],
        budgets,
      },
    ])
    const ends = await viewAt(url, { view: 'feed', feed: 'session:agent', at: later })
    expect(ends.rows.map(({ name, seq }) => [name, seq])).toEqual([['fetch', 1]])
    const source = await openRecording(await (await fetch(new URL('recording', url))).text())
    const again: Ask = (request) => source.view(request)
    expect(await Promise.all(numbers.map((at) => summaryOf(again, at)))).toEqual(told)
  })
  it('knows what goes on since before the first entry that is held', async () => {
    const { runtime, url, following } = await openRuntime(100)
    const session = runtime.session('agent')
    const ended = createDeferred<void>()
    const waiting = session.run({ kind, displayName: 'goes on' }, () => ended.promise)
    await numberOf(following, (entry) => entry.type === 'row' && entry.row.name === 'goes on')
    for (let number = 1; number <= 40; number += 1)
      await session.run({ kind, displayName: `short ${number}` }, () => number).outcome
    await numberOf(following, (entry) => entry.type === 'row' && entry.row.name === 'short 40')
    const { oldest: at } = await viewAt(url, { view: 'entries' })
    expect(at).toBeGreaterThan(100)
    const { rows } = await viewAt(url, { view: 'list', at, phases: ['running'], text: 'goes' })
    expect(rows.map(({ name }) => name)).toEqual(['goes on'])
    const { occupancy } = await viewAt(url, { view: 'machine', machine: 'operation', at })
    expect(occupancy['operation.running']).toBeGreaterThanOrEqual(1)
    const recording = await openRecording(await (await fetch(new URL('recording', url))).text())
    for (const request of [{ at: 50 }, {}]) {
      const list = (await recording.view({ view: 'list', text: 'goes', ...request })) as ListView
      expect(list.rows.map(({ name, phase }) => [name, phase])).toEqual([['goes on', 'running']])
    }
    ended.resolve()
    await waiting.outcome
  })
})
