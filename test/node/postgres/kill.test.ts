import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { AdminVerifier, createSeed, KeyPair, OperatorRegistry, signAdminCommit } from '../../../src/node/admin/index.js'
import { daemonIdOf } from '../../../src/node/daemon-definition.js'
import { parseNodeId } from '../../../src/node/ids.js'
import { PostgresCluster } from '../../../src/node/postgres/public.js'
import { PostgresDatabase } from '../../../src/postgres/index.js'
import { createRuntime, type Runtime } from '../../../src/runtime.js'
import { compileChild, type CompiledChild } from '../../journal/support/compiled-child.js'
import { isLong } from '../../journal/support/long.js'
import { isOtherServer, startPostgres, type PostgresServer } from '../../support/postgres-server.js'
import { clusterTiming } from './support/timing.js'

const kills = isLong ? 100 : 5
const key = KeyPair.fromSeed(createSeed())
const names = ['00000000000000a1', '00000000000000a2'] as const

let server: PostgresServer
let program: CompiledChild
let home: string
let database: PostgresDatabase
/** A third node, which runs nothing, and to which operators speak. */
let third: Runtime

beforeAll(async () => {
  if (isOtherServer) return
  home = await mkdtemp(join(tmpdir(), 'stateward-cluster-'))
  program = await compileChild('cluster-node', 'test/node/postgres/support')
  server = await startPostgres()
  database = await PostgresDatabase.open({ url: server.url })
  third = await createRuntime({
    node: {
      thisNode: parseNodeId('00000000000000a3'),
      tickIntervalMs: 25,
      verifier: new AdminVerifier({ operators: new OperatorRegistry([{ publicKey: key.publicKey }]) }),
      cluster: { source: await PostgresCluster.open({ database }), ...clusterTiming },
    },
  })
}, 60_000)

afterAll(async () => {
  if (isOtherServer) return
  await third.close()
  await database.close()
  await server[Symbol.asyncDispose]()
  await program.remove()
  await rm(home, { recursive: true })
})

/** One of the two that can be killed. */
class MortalNode {
  readonly name: string
  readonly #child: ChildProcess
  readonly #lines: string[] = []
  #wanted: (() => void) | undefined

  constructor(name: string) {
    this.name = name
    this.#child = program.start(server.url, name, join(home, name), join(home, 'notes'), key.publicKey)
    if (this.#child.stdout === null) throw new Error('its output is not piped')
    createInterface(this.#child.stdout).on('line', (line) => {
      this.#lines.push(line)
      this.#wanted?.()
    })
    this.#child.once('exit', () => this.#wanted?.())
  }

  /** The first line that begins so; rejects when the process has ended without it. */
  async said(start: string): Promise<string> {
    for (;;) {
      const line = this.#lines.find((each) => each.startsWith(start))
      if (line !== undefined) return line
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) throw new Error(`${this.name} has ended`)
      await new Promise<void>((resolve) => (this.#wanted = resolve))
    }
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const ended = once(this.#child, 'exit')
    this.#child.kill(signal)
    await ended
  }
}

interface Note {
  readonly node: string
  readonly fence: number
  readonly at: number
}

it.skipIf(isOtherServer)(
  `[N-526] a daemon survives ${kills} kills of the node that runs it: another one takes over, never two run, and each has obeyed every command once`,
  { timeout: 120_000 + kills * 10_000 },
  async () => {
    const daemon = { id: daemonIdOf('writer'), name: 'writer' }
    await third.node.runDaemon(daemon)
    let running = new MortalNode(names[0])
    let spare = new MortalNode(names[1])
    let fence = Number((await Promise.race([running.said('running'), spare.said('running')])).split(' ')[1])
    const holder = () => third.node.cluster.view?.holders.get(`daemon:${daemon.id}`)
    while (holder() === undefined) await third.node.reader.changed(third.node.reader.generation)
    if (holder() !== names[0]) [running, spare] = [spare, running]
    const peers: string[] = []
    for (let kill = 0; kill < kills; kill += 1) {
      await running.end('SIGKILL')
      // While one of them is away, everybody else is told something.
      const peer = (0x1000 + kill).toString(16).padStart(16, '0')
      peers.push(peer)
      const commit = signAdminCommit(key, { type: 'cordon', node: parseNodeId(peer) }, Date.now())
      const { outcome } = await third.node.submit({ type: 'signed_admin_commit', commit })
      expect(outcome).toEqual({ status: 'accepted' })
      const taken = Number((await spare.said('running')).split(' ')[1])
      expect(taken).toBeGreaterThan(fence)
      fence = taken
      ;[running, spare] = [spare, new MortalNode(running.name)]
    }
    for (const each of [running, spare]) {
      await each.said(`audited ${kills}`)
      await each.end('SIGTERM')
      const audited = JSON.parse(await each.said('[')) as readonly (readonly [{ readonly node: string }, string])[]
      expect(audited.map(([{ node }, status]) => [node, status])).toEqual(peers.map((node) => [node, 'accepted']))
    }

    const text = await readFile(join(home, 'notes'), 'utf8')
    const notes = text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Note)
    const spans = new Map<number, { readonly node: string; readonly from: number; to: number }>()
    for (const { node, fence: under, at } of notes) {
      const span = spans.get(under) ?? { node, from: at, to: at }
      // Under one fence one node has run it.
      expect(node).toBe(span.node)
      span.to = Math.max(span.to, at)
      spans.set(under, span)
    }
    const ordered = [...spans].toSorted(([one], [other]) => one - other).map(([, span]) => span)
    expect(ordered.length).toBeGreaterThan(kills)
    const overlaps = ordered.filter(({ from }, index) => index > 0 && from < (ordered[index - 1]?.to ?? 0))
    expect(overlaps).toEqual([])
  },
)
