import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { CompiledChild } from '../../journal/support/compiled-child.js'
import { metaOf, type Answered } from './wire.js'

/** A server in a process of its own, and the way to ask it. Calls reject when it is gone. */
export interface WireServer {
  readonly child: ChildProcess
  call(method: string, params: Readonly<Record<string, unknown>>): Promise<Answered>
  /** Messages that answer no call. */
  readonly notes: readonly Readonly<Record<string, unknown>>[]
  readonly gone: Promise<unknown>
  /** Lets it go. */
  kill(): Promise<void>
}

interface Started {
  readonly directory: string
  readonly trace: string
  /** `TYPE=N`: it kills itself when so many events of the type are durable. */
  readonly killAt?: string
}

let lastId = 100

export async function startHttp(
  program: CompiledChild,
  { directory, trace, killAt = '' }: Started,
): Promise<WireServer> {
  const child = program.startWith({ STATEWARD_KILL: killAt }, directory, '0', trace)
  const gone = once(child, 'exit')
  const line = once(child.stdout as NodeJS.ReadableStream, 'data') as Promise<[Buffer]>
  const first = await Promise.race([line, gone.then(() => undefined)])
  if (first === undefined) throw new Error('gone before it served')
  const { port } = JSON.parse(first[0].toString()) as { readonly port: number }
  return {
    child,
    notes: [],
    gone,
    kill: () => end(child, gone),
    async call(method, params) {
      const name = params['taskId'] ?? params['name']
      lastId += 1
      const response = await fetch(`http://127.0.0.1:${port}/mcp`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          'mcp-protocol-version': '2026-07-28',
          'mcp-method': method,
          ...(typeof name === 'string' && { 'mcp-name': name }),
        },
        body: JSON.stringify({ jsonrpc: '2.0', id: lastId, method, params: { ...params, _meta: metaOf({}) } }),
      })
      return { status: response.status, ...((await response.json()) as object) }
    },
  }
}

export async function startStdio(
  program: CompiledChild,
  { directory, trace, killAt = '' }: Started,
): Promise<WireServer> {
  const child = program.startWith({ STATEWARD_KILL: killAt }, directory, 'stdio', trace)
  const gone = once(child, 'exit')
  const waiting = new Map<number, (message: object) => void>()
  const notes: Readonly<Record<string, unknown>>[] = []
  child.stdin?.on('error', () => {})
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
    const message = JSON.parse(line) as { readonly id?: number } & Record<string, unknown>
    const answer = message.id === undefined ? undefined : waiting.get(message.id)
    if (answer === undefined) notes.push(message)
    else answer(message)
  })
  return {
    child,
    notes,
    gone,
    kill: () => end(child, gone),
    async call(method, params) {
      lastId += 1
      const id = lastId
      const answered = new Promise<object>((resolve) => waiting.set(id, resolve))
      child.stdin?.write(
        `${JSON.stringify({ jsonrpc: '2.0', id, method, params: { ...params, _meta: metaOf({}) } })}\n`,
      )
      const message = await Promise.race([answered, gone.then(() => undefined)])
      if (message === undefined) throw new Error('gone before it answered')
      return { status: 0, ...message }
    },
  }
}

async function end(child: ChildProcess, gone: Promise<unknown>): Promise<void> {
  child.kill('SIGKILL')
  await gone
}
