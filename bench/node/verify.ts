import type { AdminEvent } from '../../src/node/admin-event.js'
import { emptyAdminMemory, type AdminMemory } from '../../src/node/admin/admin-memory.js'
import { createSeed, KeyPair } from '../../src/node/admin/ed25519.js'
import { OperatorRegistry } from '../../src/node/admin/operators.js'
import { proposeIceCommit, signAdminCommit, signIceCommit } from '../../src/node/admin/signing.js'
import type { SimulationView } from '../../src/node/admin/simulation.js'
import { AdminVerifier } from '../../src/node/admin/verifier.js'
import type { Digest, NodeId } from '../../src/node/ids.js'
import type { BenchOptions } from '../harness.js'
import type { Part } from '../tasks.js'

const now = Date.UTC(2026, 0, 1)
const idOf = (value: number): NodeId => value.toString(16).padStart(16, '0') as NodeId

/** A memory as full as it gets. */
const fullMemory: AdminMemory = {
  ...emptyAdminMemory,
  seen: Array.from({ length: 1023 }, (_, index) => ({
    digest: index.toString(16).padStart(64, '0') as Digest,
    issuedAtMs: now,
  })),
}

/** A hundred nodes. */
const snapshot: SimulationView = {
  node: idOf(1),
  peers: new Map(Array.from({ length: 99 }, (_, index) => [idOf(index + 2), {}])),
  replicas: new Map(),
  daemons: new Map(),
  inFlightMigrations: [],
}

/** Commits of operators that a node judges per second, signatures, replay and simulation included, its memory being full. */
export function measureVerification({ quick, progress }: BenchOptions): Part {
  const count = quick ? 200 : 10_000
  progress(`${count} commits of operators`)
  const [first, second] = [KeyPair.fromSeed(createSeed()), KeyPair.fromSeed(createSeed())]
  const verifier = new AdminVerifier({ operators: new OperatorRegistry([first, second]), iceThreshold: 2 })
  const event: AdminEvent = { type: 'cordon', node: idOf(1) }
  const commit = signAdminCommit(first, event, now)
  const proposal = { type: 'freeze_cluster', ttlMs: 1000 } as const
  const bundle = signIceCommit(second, signIceCommit(first, proposeIceCommit(snapshot, proposal, now)))
  const circumstances = { nowMs: now, memory: fullMemory, snapshot }
  const perSecond = perSecondOf(count, () => verifier.verifyAdmin(commit, circumstances).status === 'accepted')
  const bundlesPerSecond = perSecondOf(count / 2, () => verifier.verifyIce(bundle, circumstances).status === 'accepted')
  return {
    rows: [
      { what: 'commits verified', 'per second': perSecond },
      { what: 'bundles of two verified, 100 nodes', 'per second': bundlesPerSecond },
    ],
    ratios: { verifiedPerSecond: perSecond, bundlesVerifiedPerSecond: bundlesPerSecond },
  }
}

function perSecondOf(count: number, verify: () => boolean): number {
  for (let warmup = 0; warmup < count / 10; warmup += 1) verify()
  const start = performance.now()
  let accepted = 0
  for (let index = 0; index < count; index += 1) if (verify()) accepted += 1
  if (accepted < count) throw new Error(`${count - accepted} commits were refused`)
  return (count * 1000) / (performance.now() - start)
}
