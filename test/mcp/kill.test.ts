import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DetailedTask } from '../../src/mcp/index.js'
import { compileChild, type CompiledChild } from '../journal/support/compiled-child.js'
import { accepted } from './support/wire.js'
import { startHttp, startStdio, type WireServer } from './support/wire-client.js'

/** Every step after which a client may have seen something, each of them durable when the server dies. */
const steps = [
  'registered',
  'process.first_started',
  'mcp.input-requested',
  'process.waiting',
  'signal.mcp-input',
  'process.resumed',
  'process.cancel_requested',
  'process.cancelled',
  'mcp.fault',
  'process.failed',
  'process.completed',
] as const

const lives = process.env['STATEWARD_LONG'] === undefined ? 20 : 200

/** What a client has seen of a task, and must never see undone. */
interface Seen {
  readonly tool: string
  isAnswered: boolean
  isCancelled: boolean
  end?: unknown
}

const isEnd = ({ status }: DetailedTask): boolean => !['working', 'input_required'].includes(status)

/** The client: does one thing after another until the server is gone, and holds it to all that it has said before. */
class Client {
  readonly seen = new Map<string, Seen>()

  async live(server: WireServer): Promise<void> {
    // Those of the lives just before; in the end all of them.
    for (const taskId of [...this.seen.keys()].slice(-8)) await this.look(server, taskId)
    for (const [tool, args] of [
      ['confirm_delete', { filename: 'a' }],
      ['once_only', { seconds: 0.02 }],
      ['slow_compute', { seconds: 0 }],
      ['slow_compute', { seconds: 60 }],
      ['protocol_error_job', {}],
    ] as const) {
      const { result } = await server.call('tools/call', { name: tool, arguments: args })
      const { taskId, resultType } = result as unknown as { readonly taskId: string; readonly resultType: string }
      expect(resultType).toBe('task')
      this.seen.set(taskId, { tool, isAnswered: false, isCancelled: false })
      if ('seconds' in args && args.seconds === 60) await this.cancel(server, taskId)
    }
    await this.finish(server)
  }

  /** Answers and looks until everything has ended. */
  async finish(server: WireServer): Promise<void> {
    for (;;) {
      let isOver = true
      for (const [taskId, seen] of this.seen) {
        if (seen.end !== undefined) continue
        const task = await this.look(server, taskId)
        if (task.status === 'input_required') await this.answer(server, taskId)
        if (seen.tool === 'slow_compute' && !isEnd(task) && seen.isCancelled) await this.cancel(server, taskId)
        isOver &&= isEnd(task)
      }
      if (isOver) return
      await new Promise((resolve) => setTimeout(resolve, 15))
    }
  }

  async look(server: WireServer, taskId: string): Promise<DetailedTask> {
    const seen = this.seen.get(taskId) as Seen
    const { result, error } = await server.call('tasks/get', { taskId })
    expect(error).toBeUndefined()
    const { _meta: _, ...task } = result as unknown as DetailedTask & { readonly _meta?: unknown }
    if (seen.isAnswered) expect(task.inputRequests).toBeUndefined()
    if (seen.end !== undefined) expect(task).toEqual(seen.end)
    if (isEnd(task)) seen.end = task
    return task
  }

  async answer(server: WireServer, taskId: string): Promise<void> {
    const inputResponses = { confirm: accepted({ confirm: true }) }
    const { result } = await server.call('tasks/update', { taskId, inputResponses })
    expect(result?.resultType).toBe('complete')
    ;(this.seen.get(taskId) as Seen).isAnswered = true
  }

  async cancel(server: WireServer, taskId: string): Promise<void> {
    const seen = this.seen.get(taskId) as Seen
    // Asked for: it may be so from now on.
    seen.isCancelled = true
    const { result } = await server.call('tasks/cancel', { taskId })
    expect(result?.resultType).toBe('complete')
  }
}

/** Runs until the server is gone: whatever else goes wrong is told. */
async function until(server: WireServer, work: Promise<void>): Promise<'done' | 'gone'> {
  let isGone = false
  void server.gone.then(() => (isGone = true))
  try {
    await work
    return 'done'
  } catch (failure) {
    await Promise.race([server.gone, new Promise((resolve) => setTimeout(resolve, 1000))])
    if (isGone && !(failure instanceof Error && failure.name === 'AssertionError')) return 'gone'
    throw failure
  }
}

describe('a server that is killed', () => {
  let program: CompiledChild
  let home = ''
  beforeAll(async () => {
    program = await compileChild('server', 'test/mcp/support')
    home = mkdtempSync(join(tmpdir(), 'stateward-mcp-kill-'))
  }, 120_000)
  afterAll(async () => {
    await program.remove()
    rmSync(home, { recursive: true, force: true })
  })

  it('at every step takes back nothing that a client has seen, and repeats nothing that must not be [M-40] [M-44]', {
    timeout: lives * 10_000,
  }, async () => {
    const started = { directory: join(home, 'journal'), trace: join(home, 'trace') }
    const client = new Client()
    let killed = 0
    for (let life = 0; life < lives; life += 1) {
      const killAt = `${steps[life % steps.length] ?? ''}=${1 + (life % 3)}`
      const start = life % 4 === 3 ? startStdio : startHttp
      const server = await start(program, { ...started, killAt }).catch(() => undefined)
      if (server === undefined) {
        killed += 1
        continue
      }
      if ((await until(server, client.live(server))) === 'gone') killed += 1
      await server.kill()
    }
    expect(killed).toBeGreaterThan(lives / 2)
    const last = await startHttp(program, started)
    await client.live(last)
    for (const taskId of client.seen.keys()) await client.look(last, taskId)
    await last.kill()
    const ends = [...client.seen.values()].map(({ tool, end }) => [tool, (end as DetailedTask).status] as const)
    expect(ends.filter(([tool]) => tool === 'confirm_delete').map(([, status]) => status)).not.toContain('cancelled')
    expect(ends.filter(([tool]) => tool === 'protocol_error_job').map(([, status]) => status)).not.toContain(
      'completed',
    )
    const charged = readFileSync(started.trace, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('charge '))
    const ids = charged.map((line) => line.split(' ')[1])
    expect(ids.length).toBeGreaterThan(0)
    expect(new Set(ids).size).toBe(ids.length)
  })
})
