import { request } from 'node:http'
import { createRuntime, type Runtime, type RuntimeOptions } from 'stateward'
import { describe, expect, it, onTestFinished } from 'vitest'
import { decodeServerMessage } from '../../../src/inspect/stream/decode-protocol.js'
import type {
  EntriesMessage,
  HelloMessage,
  ServerMessage,
  StreamEntry,
  View,
  ViewRequest,
} from '../../../src/inspect/stream/protocol.js'

const tool = 'background_tool_op'

async function openRuntime(options: RuntimeOptions = {}): Promise<{ runtime: Runtime; url: URL }> {
  const runtime = await createRuntime({ inspect: true, ...options })
  onTestFinished(() => runtime.close({ policy: 'terminate' }))
  return { runtime, url: new URL(runtime.inspectorUrl ?? '') }
}

/** Asks with any headers, which `fetch` does not. */
function ask(
  url: URL,
  {
    method = 'GET',
    headers = {},
    body = '',
  }: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<{ status: number; headers: Record<string, unknown>; text: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, headers }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (piece: string) => (text += piece))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }))
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

async function view<Name extends View['view']>(
  url: URL,
  wanted: ViewRequest & { view: Name },
): Promise<Extract<View, { view: Name }>> {
  const { status, text } = await ask(new URL('query', url), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(wanted),
  })
  expect({ status, text: status === 200 ? '' : text }).toEqual({ status: 200, text: '' })
  return JSON.parse(text) as Extract<View, { view: Name }>
}

/** Follows the stream until told otherwise. */
class Following implements AsyncDisposable {
  readonly messages: ServerMessage[] = []
  lastId = ''
  readonly #abort = new AbortController()
  readonly #done: Promise<void>
  #wake = (): void => {}

  constructor(url: URL, after?: string) {
    this.#done = this.#read(new URL('events', url), after)
  }

  get entries(): StreamEntry[] {
    return this.messages.flatMap((message) => (message.type === 'entries' ? (message as EntriesMessage).entries : []))
  }

  async until(holds: (following: this) => boolean): Promise<void> {
    while (!holds(this)) await new Promise<void>((resolve) => (this.#wake = resolve))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort()
    await this.#done
  }

  async #read(url: URL, after: string | undefined): Promise<void> {
    const headers: Record<string, string> = after === undefined ? {} : { 'last-event-id': after }
    try {
      const response = await fetch(url, { signal: this.#abort.signal, headers })
      let rest = ''
      const decoder = new TextDecoder()
      for await (const piece of response.body as unknown as AsyncIterable<Uint8Array>) {
        const blocks = (rest + decoder.decode(piece, { stream: true })).split('\n\n')
        rest = blocks.pop() ?? ''
        for (const block of blocks) this.#take(block)
        this.#wake()
      }
    } catch (fault) {
      if (!this.#abort.signal.aborted) throw fault
    }
  }

  #take(block: string): void {
    const [, id] = /^id: (.*)$/m.exec(block) ?? []
    const [, data] = /^data: (.*)$/m.exec(block) ?? []
    if (id !== undefined) this.lastId = id
    if (data !== undefined) this.messages.push(decodeServerMessage(JSON.parse(data)))
  }
}

describe('the inspector of a runtime', () => {
  it('says hello, then tells what happens, in numbers without gaps', async () => {
    const { runtime, url } = await openRuntime()
    await using following = new Following(url)
    await following.until(({ messages }) => messages.length > 0)
    expect(following.messages[0]).toMatchObject({
      type: 'hello',
      protocol: 1,
      source: expect.objectContaining({ type: 'runtime', isLive: true }) as HelloMessage['source'],
      actions: [],
      showsValues: false,
    } satisfies Partial<HelloMessage>)
    const session = runtime.session('agent')
    await session.run({ kind: tool, displayName: 'compile' }, () => 'secret result').outcome
    await following.until(({ entries }) => entries.some(({ type }) => type === 'end'))
    await following.until(({ entries }) =>
      entries.some((entry) => entry.type === 'row' && entry.row.phase === 'completed'),
    )
    const { entries } = following
    expect(entries.map(({ n }) => n)).toEqual(entries.map((_, index) => index + 1))
    const compile = entries.find((entry) => entry.type === 'actor' && entry.name === 'compile')
    expect(compile).toMatchObject({ machine: 'operation', item: { type: 'operation', session: 'agent' } })
    const story = entries.flatMap((entry) =>
      entry.type === 'transition' && compile?.type === 'actor' && entry.actor === compile.actor
        ? [`${entry.event.type} ${entry.states.join()}`]
        : [],
    )
    expect(story).toEqual(['start operation.running', 'complete operation.completed'])
    expect(JSON.stringify(following.messages)).not.toContain('secret result')
  })

  it('shows the list with what was there before anybody looked', async () => {
    const { runtime, url } = await openRuntime()
    const session = runtime.session('agent')
    for (const number of [1, 2, 3])
      await session.run({ kind: tool, displayName: `work ${number}` }, () => number).outcome
    session.run({ kind: tool, displayName: 'goes on' }, () => new Promise(() => {}))
    await runtime.tasks.submit('report', { topic: 'cranes' })
    await using following = new Following(url)
    await following.until(({ entries }) => entries.filter(({ type }) => type === 'row').length >= 5)
    const list = await view(url, { view: 'list', order: 'name' })
    expect(list.rows.map(({ name, phase }) => `${name} ${phase}`)).toEqual([
      'goes on running',
      'report waiting',
      'work 1 completed',
      'work 2 completed',
      'work 3 completed',
    ])
    expect((await view(url, { view: 'list', text: 'GOES agent' })).rows.map(({ name }) => name)).toEqual(['goes on'])
    const machine = await view(url, { view: 'machine', machine: 'operation' })
    expect(machine.occupancy).toEqual({ 'operation.running': 1 })
    expect(machine.machine?.states.map(({ id }) => id)).toContain('operation.retiring')
  })
})
