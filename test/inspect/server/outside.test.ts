import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { createRuntime, defineDaemon } from 'stateward'
import { parseNodeId } from 'stateward/node'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../../src/base/clock.js'
import { top } from '../../../src/cli/inspector/top.js'
import { topLines } from '../../../src/cli/inspector/top-text.js'
import { openSource } from '../../../src/inspect/server/open-source.js'
import type { InspectorSource } from '../../../src/inspect/sources/source.js'
import { decodeServerMessage } from '../../../src/inspect/stream/decode-protocol.js'
import type {
  ItemRow,
  OverviewView,
  ServerMessage,
  StreamEntry,
  View,
  ViewRequest,
} from '../../../src/inspect/stream/protocol.js'
import { Following, view as askView } from '../support/inspector-client.js'

const tool = 'background_tool_op'
const numRuns = process.env['STATEWARD_LONG'] === undefined ? 60 : 2000

let folder: string
let abort: AbortController
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stateward-inspect-'))
  abort = new AbortController()
})
afterEach(async () => {
  abort.abort()
  await rm(folder, { recursive: true })
})

function open(target: string): Promise<InspectorSource> {
  const locate = (directory: string): Promise<string> => Promise.resolve(directory)
  return openSource({ target, values: false, locate, clock: systemClock, signal: abort.signal })
}

async function view<Name extends View['view']>(source: InspectorSource, request: ViewRequest & { view: Name }) {
  return (await source.view(request)) as Extract<View, { view: Name }>
}

/** Messages of a source until one holds. */
async function follow(source: InspectorSource, holds: (message: ServerMessage) => boolean): Promise<ServerMessage[]> {
  const messages: ServerMessage[] = []
  for await (const { json } of source.follow(undefined, abort.signal)) {
    const message = decodeServerMessage(JSON.parse(json))
    messages.push(message)
    if (holds(message)) return messages
  }
  return messages
}

const isFilled = (message: ServerMessage): boolean => message.type === 'changed' && message.views.includes('list')

describe('a data directory', () => {
  it('is looked at beside its owner, and after it, with the history from the journal of a process that is gone', async () => {
    const dataDir = join(folder, 'data')
    const runtime = await createRuntime({ dataDir })
    const session = runtime.session('agent')
    const first = session.run({ kind: tool, displayName: 'first' }, () => 1)
    await first.outcome
    runtime.tasks.handle('report', () => 'about cranes')
    const report = await runtime.tasks.submit('report', 'secret topic')
    await report.result()
    {
      await using live = await open(dataDir)
      const [hello] = await follow(live, isFilled)
      expect(hello).toMatchObject({ type: 'hello', source: { type: 'directory', isLive: true }, actions: [] })
      const { rows } = await view(live, { view: 'list', order: 'name' })
      expect(rows.map(({ name, phase }) => [name, phase])).toEqual([
        ['first', 'completed'],
        ['report', 'completed'],
      ])
      // What happens from now on is seen, too.
      const seen = follow(
        live,
        (message) =>
          message.type === 'entries' &&
          message.entries.some((entry) => entry.type === 'row' && entry.row.name === 'second'),
      )
      await session.run({ kind: tool, displayName: 'second' }, () => 2).outcome
      await runtime.flush()
      expect((await seen).some(({ type }) => type === 'entries')).toBe(true)
      await expect(live.act({ action: 'pause' })).rejects.toMatchObject({ code: 'inspector_read_only' })
    }
    await runtime.close()
    await using dead = await open(dataDir)
    await follow(dead, isFilled)
    const history = await view(dead, { view: 'history', item: { type: 'task', id: report.id } })
    expect(history.from).toBe('journal')
    expect(history.rows.map(({ name }) => name)).toEqual(['task_created', 'attempt_begun', 'attempt_ended'])
    const operation = await view(dead, { view: 'history', item: { type: 'operation', id: first.id, session: 'agent' } })
    expect(operation.rows.map(({ name }) => name)).toEqual([
      'operation_registered',
      'operation_started',
      'operation_ended',
    ])
    expect(JSON.stringify([history, operation])).not.toMatch(/secret topic|c2VjcmV0|cranes/)
  })
})

describe('another service', () => {
  it('is looked at through its inspector, which is asked for nothing that it does not allow', async () => {
    await using runtime = await createRuntime({ inspect: true })
    await runtime.session('agent').run({ kind: tool, displayName: 'there' }, () => 1).outcome
    await using source = await open(runtime.inspectorUrl ?? '')
    await follow(source, ({ type }) => type === 'sample')
    expect((await view(source, { view: 'list' })).rows.map(({ name }) => name)).toEqual(['there'])
    await expect(source.act({ action: 'pause' })).rejects.toMatchObject({ code: 'inspector_read_only' })
    const wrong = new URL(runtime.inspectorUrl ?? '')
    wrong.pathname = `/${'x'.repeat(32)}/`
    await expect(open(wrong.href)).rejects.toMatchObject({ code: 'forbidden' })
    await expect(open('http://127.0.0.1:1/x/')).rejects.toMatchObject({ code: 'inspector_unreachable' })
  })
})

describe('a data directory with a node', () => {
  it('tells what was wished of the node, where it stands and what was asked of it, and says what is not durable', async () => {
    const dataDir = join(folder, 'data')
    const thisNode = parseNodeId('00000000000000a1')
    const indexer = defineDaemon('indexer', async ({ signal }) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    })
    const broken = defineDaemon('broken', () => {
      throw new Error('cannot find its configuration')
    })
    const runtime = await createRuntime({
      dataDir,
      node: {
        thisNode,
        daemons: [indexer, broken],
        tickIntervalMs: 20,
        supervision: { backoff: { initialMs: 3_600_000 } },
      },
    })
    const { node } = runtime
    await node.runDaemon(indexer)
    await node.runDaemon(broken)
    const gate = (): string | undefined => node.reader.read().daemons.get(broken.daemon.id)?.restart.status
    for (let seen = node.reader.generation; gate() !== 'backing_off'; ) seen = await node.reader.changed(seen)
    await node.submit({ type: 'admin_event', event: { type: 'cordon', node: thisNode } })
    const looked = async (): Promise<Extract<View, { view: 'node' }>> => {
      await using source = await open(dataDir)
      return view(source, { view: 'node' })
    }
    const live = await looked()
    expect(live.daemons.map(({ row, desired, restart }) => [row.name, row.status, desired, restart])).toEqual([
      ['indexer', 'not durable', 'run', 'idle'],
      ['broken', 'not durable', 'run', 'backing_off'],
    ])
    expect(live.maintenance.map(({ name, status }) => [name, status])).toEqual([
      ['00000000000000a1', 'cordoned: no new daemons are placed on it'],
    ])
    expect(live.audit.map(({ name, status }) => [name, status])).toContainEqual(['cordon', 'unverified'])
    expect(live.audit.map(({ name, status }) => [name, status])).toContainEqual(['start_daemon', 'dispatched'])
    expect(live.notice).toContain('at this moment')
    await runtime.close()
    const dead = await looked()
    expect(dead.daemons.map(({ row }) => row.status)).toEqual(['stopped', 'stopped'])
    expect(dead.notice).toContain('has ended')
  })

  it('greets its viewers again when it has no owner any more, and when there is a node', async () => {
    const dataDir = join(folder, 'data')
    const first = await createRuntime({ dataDir })
    await using source = await open(dataDir)
    const messages = source.follow(undefined, abort.signal)[Symbol.asyncIterator]()
    const greetedWith = async (isLive: boolean, hasNode: boolean): Promise<void> => {
      for (;;) {
        const { done, value } = await messages.next()
        if (done === true) throw new Error('the source has ended')
        const message = decodeServerMessage(JSON.parse(value.json))
        if (message.type !== 'hello' || message.source.isLive !== isLive) continue
        if (message.views.includes('node') === hasNode) return
      }
    }
    await greetedWith(true, false)
    await first.close()
    await greetedWith(false, false)
    const indexer = defineDaemon('indexer', () => {})
    const second = await createRuntime({
      dataDir,
      node: { thisNode: parseNodeId('00000000000000a1'), daemons: [indexer] },
    })
    await second.node.runDaemon(indexer)
    await greetedWith(true, true)
    expect((await view(source, { view: 'node' })).daemons.map(({ row }) => row.name)).toEqual(['indexer'])
    await second.close()
    await greetedWith(false, true)
  })

  it('has no such screen where there was no node', async () => {
    const dataDir = join(folder, 'data')
    await (await createRuntime({ dataDir })).close()
    await using source = await open(dataDir)
    await expect(source.view({ view: 'node' })).rejects.toMatchObject({ code: 'view_unknown' })
  })
})

/** A recording of a service, as it is downloaded, and what its stream has said. */
async function record(): Promise<{ text: string; entries: StreamEntry[]; states: Map<number, string> }> {
  await using runtime = await createRuntime({ inspect: true })
  const url = new URL(runtime.inspectorUrl ?? '')
  await using following = new Following(url)
  await following.until(({ messages }) => messages.length > 0)
  const session = runtime.session('agent')
  for (const number of [1, 2, 3]) await session.run({ kind: tool, displayName: `work ${number}` }, () => number).outcome
  await following.until(({ entries }) => entries.some((entry) => entry.type === 'row' && entry.row.name === 'work 3'))
  const { newest } = await askView(url, { view: 'entries' })
  const states = new Map<number, string>()
  for (let at = 1; at <= newest; at += 1)
    states.set(at, statesOf((await askView(url, { view: 'actors', at, limit: 500 })).rows))
  const text = await (await fetch(new URL('recording', url))).text()
  return { text, entries: following.entries, states }
}

const statesOf = (rows: readonly { name: string; states: readonly string[]; status: string }[]): string =>
  rows
    .map(({ name, states, status }) => `${name} ${states.join()} ${status}`)
    .toSorted()
    .join('; ')

describe('a recording', () => {
  it('tells at every entry what the service was like then', async () => {
    const { text, states } = await record()
    const path = join(folder, 'recording.jsonl')
    await writeFile(path, text)
    await using source = await open(path)
    const messages = await follow(source, () => false)
    expect(messages.at(-1)).toMatchObject({ type: 'bye' })
    expect(states.size).toBeGreaterThan(15)
    for (const [at, expected] of states) {
      expect([at, statesOf((await view(source, { view: 'actors', at, limit: 500 })).rows)]).toEqual([at, expected])
    }
    expect((await view(source, { view: 'list', order: 'name' })).rows.map(({ name }) => name)).toEqual([
      'work 1',
      'work 2',
      'work 3',
    ])
    expect((await view(source, { view: 'machine', machine: 'operation' })).machine?.states).toHaveLength(10)
    const copy: Uint8Array[] = []
    for await (const piece of source.recording()) copy.push(piece)
    expect(Buffer.concat(copy).toString()).toBe(text)
  })

  it('that breaks off, or holds what nobody understands, is shown as far as it goes, with a notice', async () => {
    const { text } = await record()
    const path = join(folder, 'recording.jsonl')
    const lines = text.trimEnd().split('\n')
    const broken =
      [...lines.slice(0, -2), '{"type":"actor","n":1}', '[[[[', '{"__proto__":1}'].join('\n') + '\n{"type":"tr'
    await writeFile(path, broken)
    await using source = await open(path)
    const [bye] = (await follow(source, () => false)).slice(-1)
    expect(bye).toEqual({ type: 'bye', reason: '4 lines could not be understood and are left out' })
    const before = lines.filter((line) => !/"type":"(machine|sample|stateward)/.test(line)).length
    expect((await view(source, { view: 'overview' })).stream.newest).toBe(before - 2)
  })

  it('of more than is remembered is cut, however much each of its lines says, and says so', async () => {
    const path = join(folder, 'recording.jsonl')
    const header = {
      type: 'stateward.recording',
      version: 1,
      release: '',
      source: { type: 'runtime', name: '', isLive: true },
    }
    const long = 'x'.repeat(16_000)
    const lines = Array.from({ length: 1_200 }, (_, number) => {
      const row = { type: 'task', id: `${number}`, name: long, kind: 'k', phase: 'running', status: 'running' }
      return JSON.stringify({ type: 'row', n: number + 1, atMs: 0, row })
    })
    await writeFile(path, `${[JSON.stringify({ ...header, atMs: 0 }), ...lines].join('\n')}\n`)
    await using source = await open(path)
    const [bye] = (await follow(source, () => false)).slice(-1)
    const { total, rows } = await view(source, { view: 'list' })
    // 16 million characters at most.
    expect(total).toBe(1_047)
    expect(rows[0]?.id).toBe('1199')
    const notice = '153 items were too many to be remembered'
    expect(bye).toEqual({ type: 'bye', reason: notice })
    let text = ''
    await top({ target: path, json: false }, { write: (piece) => (text += piece) }, abort.signal)
    expect(text).toContain(`\n${notice}\n`)
  })

  it('of another version, or of something else, is refused', async () => {
    const path = join(folder, 'recording.jsonl')
    const { text } = await record()
    for (const [content, reason] of [
      ['', 'empty'],
      ['hello\n', 'not JSON'],
      [text.replace('"version":1', '"version":2'), 'version'],
      ['{"type":"actor"}\n', 'type'],
      ['x'.repeat(3_000_000), 'too long'],
    ] as const) {
      await writeFile(path, content)
      const refusal = await open(path).catch((error: unknown) => error as Error)
      expect(refusal).toMatchObject({ code: 'invalid_input', message: expect.stringContaining(reason) })
    }
  })

  it('made of anything whatever is refused or shown, and never breaks who reads it', { timeout: 120_000 }, async () => {
    const { text } = await record()
    const path = join(folder, 'recording.jsonl')
    const [header = '', ...lines] = text.trimEnd().split('\n')
    const line = fc.oneof(
      fc.constantFrom(...lines),
      fc.json(),
      fc.string(),
      fc.constantFrom(...lines).chain((known) => fc.nat(known.length).map((at) => known.slice(0, at))),
      fc
        .constantFrom(...lines)
        .chain((known) =>
          fc
            .string()
            .map((name) => known.replace(/"work \d"/, JSON.stringify(`\u001b[2J<img src=x onerror=1>${name}`))),
        ),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 30 }), async (content) => {
        await writeFile(path, [header, ...content].join('\n'))
        await using source = await open(path)
        await follow(source, () => false)
        await view(source, { view: 'list' })
        const { newest } = await view(source, { view: 'entries', limit: 5 })
        await view(source, { view: 'actors', at: Math.floor(newest / 2) })
      }),
      { numRuns },
    )
  })
})

describe('stateward top', () => {
  it('is plain text, once, where there is no terminal, and makes names harmless', async () => {
    const dataDir = join(folder, 'data')
    const runtime = await createRuntime({ dataDir })
    await runtime.session('agent').run({ kind: tool, displayName: 'first' }, () => 1).outcome
    await runtime.tasks.submit('report')
    await runtime.close()
    let text = ''
    await top({ target: dataDir, json: false }, { write: (piece) => (text += piece) }, abort.signal)
    expect(text).toMatch(/^operations 1 completed\ntasks 1 waiting\n/)
    expect(text).toMatch(/waiting +report +\S+ \S+ +its time/)
    expect(text).not.toContain('\u001B')
  })

  it('shows no more lines and columns than there are, whatever a name holds', () => {
    const name = `\u001B[2J\u001B]0;owned\u0007<b>\u202Eevil\nname ${'x'.repeat(300)}`
    const row: ItemRow = { type: 'task', id: 'a', name, kind: 'report', phase: 'failed', status: 'failed', error: name }
    const counts = { phases: { failed: 1 }, statuses: {} }
    const overview = {
      view: 'overview',
      atMs: 0,
      jobs: 0,
      operations: counts,
      sessions: 0,
      barriers: 0,
      questions: 0,
      slots: [],
      stream: { oldest: 1, newest: 0, dropped: 0, viewers: 0, sample: 1 },
      samples: [],
    } satisfies OverviewView
    const list = { view: 'list', total: 50, offset: 0, rows: Array.from({ length: 50 }, () => row) } as const
    const lines = topLines(overview, list, { columns: 60, rows: 12, paint: (_, text) => text, nowMs: 0 })
    expect(lines).toHaveLength(12)
    for (const line of lines) {
      expect(line.length).toBeLessThanOrEqual(60)
      expect(line).not.toMatch(/[\p{Cc}\p{Bidi_Control}]/u)
    }
  })
})
