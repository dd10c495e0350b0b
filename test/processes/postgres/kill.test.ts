import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { ProcessLease, ProcessStore } from '../../../src/processes/index.js'
import { lifecyclePayloads } from '../../../src/processes/record.js'
import { createRuntime } from '../../../src/runtime.js'
import { compileChild, type CompiledChild } from '../../journal/support/compiled-child.js'
import { isLong, timeout } from '../../journal/support/long.js'
import { createDice } from '../../journal/support/mortal-file-system.js'
import { searchSeed } from '../../support/search-seed.js'
import { isOtherServer, startPostgres, type PostgresServer } from '../../support/postgres-server.js'
import { openHost } from './support/processes.js'
import { sharedKinds, steps } from './support/shared-kinds.js'

const kills = isLong ? 500 : 20
const seed = searchSeed ?? Date.now() % 1_000_000

let server: PostgresServer
let program: CompiledChild
let home: string

beforeAll(async () => {
  if (isOtherServer) return
  home = await mkdtemp(join(tmpdir(), 'stateward-hosts-'))
  program = await compileChild('killed-host', 'test/processes/postgres/support')
  server = await startPostgres()
}, 60_000)

afterAll(async () => {
  if (isOtherServer) return
  await server[Symbol.asyncDispose]()
  await program.remove()
  await rm(home, { recursive: true })
})

interface Noted {
  readonly what: 'begin' | 'do' | 'done'
  readonly processId: string
  readonly value: unknown
}

/** Two hosts, one of which may be taken away at any time, and how much they have noted. */
class Hosts {
  readonly #hosts: ChildProcess[] = []
  #started = 0
  #noted = 0
  #wanted: (() => void) | undefined
  #crash: Error | undefined

  start(index: number): void {
    this.#started += 1
    const host = program.start(server.url, join(home, 'notes'), String(seed + this.#started))
    host.stdout?.on('data', (chunk: Buffer) => {
      this.#noted += chunk.toString().split('note\n').length - 1
      this.#wanted?.()
    })
    // A host that ends without having been asked to has crashed.
    host.once('exit', (code) => {
      if (code !== null && code !== 0) this.#crash = new Error(`a host has ended with code ${code}`)
      this.#wanted?.()
    })
    this.#hosts[index] = host
  }

  /** Resolves once the hosts have noted so much more. */
  async noted(more: number): Promise<void> {
    const enough = this.#noted + more
    while (this.#noted < enough) {
      if (this.#crash !== undefined) throw this.#crash
      await new Promise<void>((resolve) => (this.#wanted = resolve))
    }
  }

  signal(index: number, signal: NodeJS.Signals): void {
    this.#hosts[index]?.kill(signal)
  }

  /** Asks all of them to end, and kills those that are frozen. */
  async end(signal: NodeJS.Signals): Promise<void> {
    await Promise.all(
      this.#hosts.map(async (host) => {
        if (host.exitCode !== null || host.signalCode !== null) return
        const exit = once(host, 'exit')
        host.kill('SIGCONT')
        host.kill(signal)
        await exit
      }),
    )
  }
}

/** The leases of all that may run again and has not ended. */
async function leasesOf(store: ProcessStore): Promise<readonly ProcessLease[]> {
  const running = (await store.listNonTerminal()).filter(({ disposition }) => disposition === 'rerunnable')
  const leases = await Promise.all(running.map(({ id }) => store.getLease(id)))
  return leases.filter((lease) => lease !== undefined)
}

/** Resolves once one of them is held by somebody else, or none of the processes runs any more. */
async function takenOver(store: ProcessStore, held: readonly ProcessLease[]): Promise<void> {
  const fences = new Map(held.map(({ processId, fencingToken }) => [processId, fencingToken]))
  for (;;) {
    const now = (await leasesOf(store)).filter(({ processId }) => fences.has(processId))
    if (now.length === 0) return
    if (now.some(({ processId, fencingToken }) => fencingToken > (fences.get(processId) as number))) return
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

it.skipIf(isOtherServer)(
  `of two hosts one is killed, or the server, ${kills} times: all ends once (P-250, P-251, P-252)`,
  {
    timeout,
  },
  async ({ onTestFailed }) => {
    onTestFailed(() => void process.stderr.write(`STATEWARD_SEED=${seed}\n`))
    const upTo = createDice(seed)
    await using client = await openHost({ url: server.url, retryMs: 30_000 })
    const { store } = client
    const runtime = await createRuntime({ processes: { store, longestPollMs: 100 } })
    const { processes } = runtime
    const { job, bound } = sharedKinds(
      () => {},
      async () => {},
    )
    const hosts = new Hosts()
    for (const index of [0, 1]) hosts.start(index)
    let frozen: number | undefined
    let held: readonly ProcessLease[] = []
    let round = 0
    try {
      for (; round < kills; round += 1) {
        await processes.start(bound, null, { id: `bound-${round}` })
        for (const part of [0, 1, 2]) await processes.start(job, null, { id: `job-${round}-${part}` })
        await hosts.noted(1 + upTo(6))
        // Somewhere within what follows a note.
        await new Promise((resolve) => setTimeout(resolve, upTo(15)))
        const index = frozen === undefined ? upTo(2) : 1 - frozen
        if (upTo(6) === 0) {
          await server.kill()
          await server.start()
        } else if (frozen !== undefined) {
          // It wakes to find that somebody else goes on with what was its own.
          await takenOver(store, held)
          hosts.signal(frozen, 'SIGCONT')
          frozen = undefined
        } else if (upTo(3) === 0) {
          hosts.signal(index, 'SIGSTOP')
          held = await leasesOf(store)
          frozen = index
        } else {
          hosts.signal(index, 'SIGKILL')
          hosts.start(index)
        }
      }
      if (frozen !== undefined) hosts.signal(frozen, 'SIGCONT')
      for (let each = 0; each < round; each += 1) {
        for (const part of [0, 1, 2]) await processes.get(job, `job-${each}-${part}`).result()
      }
      await hosts.end('SIGTERM')
    } finally {
      await hosts.end('SIGKILL')
    }

    const text = await readFile(join(home, 'notes'), 'utf8')
    const lines = text.split('\n').slice(0, -1)
    const noted = lines.map((line) => JSON.parse(line) as Noted)
    for (const record of await store.listProcesses({ status: 'any' })) {
      const { id, status, outcome } = record
      const events = await store.eventsAfter(id, 0)
      const ends = events.filter(({ semantics }) => semantics?.terminal !== undefined)
      const mine = noted.filter(({ processId }) => processId === id)
      if (id.startsWith('bound')) {
        // Nobody runs again what its owner has begun, nor ends it in its place.
        expect([id, mine.length]).toEqual([id, Math.min(1, mine.length)])
        expect([id, ends.length, status]).toEqual([
          id,
          status === 'running' ? 0 : 1,
          ends.length === 0 ? 'running' : 'completed',
        ])
        continue
      }
      expect([id, status, ends.length]).toEqual([id, 'completed', 1])
      let fence = 0
      const results: unknown[] = []
      for (const { eventType, payload } of events) {
        if (eventType === 'process.first_started') {
          const started = lifecyclePayloads.started.read(payload).fencingToken
          expect(started, `${id} was taken on an old token`).toBeGreaterThan(fence)
          fence = started
        }
        if (eventType !== 'process.step') continue
        const { name, result } = payload as { readonly name: string; readonly result: { readonly output: number } }
        // A step says under which token it was done: after another host has begun, none of an older one is written.
        expect([id, name, result.output]).toEqual([id, name, fence])
        results.push(result.output)
      }
      expect(results).toHaveLength(steps.length)
      expect(outcome).toEqual({ type: 'success', value: results })
      for (const { what, value } of mine) {
        if (what !== 'done') continue
        const [name, result] = value as [(typeof steps)[number], number]
        expect([id, name, result]).toEqual([id, name, results[steps.indexOf(name)]])
      }
    }
    await runtime.close()
  },
)
