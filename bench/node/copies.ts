import { newChain, withHolder, withoutHolder, type ChainRow } from '../../src/node/chain-row.js'
import { newDaemon, signalled, type DaemonRow } from '../../src/node/daemon-row.js'
import type { FoldEvent } from '../../src/node/fold-event.js'
import { fold } from '../../src/node/fold.js'
import type { ChainId, DaemonId, NodeId } from '../../src/node/ids.js'
import { nodeDefaults } from '../../src/node/options.js'
import { newPeer, type PeerRow } from '../../src/node/peer-row.js'
import { reconcile } from '../../src/node/reconcile/reconcile.js'
import { projectSnapshot } from '../../src/node/snapshot-projection.js'
import type { NodeVersion } from '../../src/node/state.js'
import { interleave, type BenchOptions } from '../harness.js'
import { median } from '../statistics.js'
import type { Part } from '../tasks.js'
import { randomSource, snapshotContext, steadyNode, thousandEvents } from './life.js'

const size = { daemons: 10_000, chains: 100_000 }

/** The same rows by the same functions in plain maps, which are copied for whoever reads: once per tick. */
class CopiedTables {
  readonly #daemons: Map<DaemonId, DaemonRow>
  readonly #chains: Map<ChainId, ChainRow>
  readonly #peers: Map<NodeId, PeerRow>
  readonly #steady: NodeVersion

  constructor(steady: NodeVersion) {
    this.#steady = steady
    this.#daemons = new Map(steady.daemons)
    this.#chains = new Map(steady.chains)
    this.#peers = new Map(steady.peers)
  }

  fold(event: FoldEvent): void {
    switch (event.type) {
      case 'replica_update': {
        const row = this.#chains.get(event.chain) ?? newChain(event.chain)
        const change = event.change === 'added' ? withHolder : withoutHolder
        this.#chains.set(event.chain, Object.freeze(change(row, event.holder)))
        return
      }
      case 'replica_leader_update': {
        const row = this.#chains.get(event.chain) ?? newChain(event.chain)
        this.#chains.set(event.chain, Object.freeze({ ...row, leader: event.leader }))
        return
      }
      case 'placement_intent': {
        const row = this.#chains.get(event.chain) ?? newChain(event.chain)
        this.#chains.set(event.chain, Object.freeze({ ...row, desiredReplicas: event.desiredReplicas }))
        return
      }
      case 'rtt_sample': {
        const row = this.#peers.get(event.peer) ?? newPeer(event.peer)
        this.#peers.set(event.peer, Object.freeze({ ...row, rttMs: event.rttMs }))
        return
      }
      case 'daemon_lifecycle': {
        const row = this.#daemons.get(event.daemon.id) ?? newDaemon(event.daemon)
        const next = Object.freeze(signalled(row, event.signal, nodeDefaults.supervision))
        this.#daemons.set(event.daemon.id, next)
        return
      }
      default:
        throw new Error(`${event.type} is not part of this measurement`)
    }
  }

  /** Copies for whoever reads. Nothing says what has changed, so a pass looks at every row. */
  version(at: number): NodeVersion {
    const [daemons, chains, peers] = [new Map(this.#daemons), new Map(this.#chains), new Map(this.#peers)]
    return { ...this.#steady, now: at, daemons, chains, peers, unsettledDaemons: daemons, unsettledChains: chains }
  }
}

/** What a tick costs, by versions and by copies of maps: a thousand events folded, a pass made, a snapshot published. */
export async function measureCopies({ quick, progress }: BenchOptions): Promise<Part> {
  progress('tables by versions and by copies')
  const state = steadyNode(size)
  const copied = new CopiedTables(state.version())
  const samples = await interleave(
    {
      versions: ticker((events, at) => {
        for (const event of events) fold(state, event)
        fold(state, { type: 'tick', at })
        return state.version()
      }),
      copies: ticker((events, at) => {
        for (const event of events) copied.fold(event)
        return copied.version(at)
      }),
    },
    { rounds: quick ? 11 : 60, warmups: quick ? 10 : 20 },
  )
  const versions = medians(samples.versions)
  const copies = medians(samples.copies)
  return {
    rows: [
      { what: 'tick of 10k/100k, versions', ...versions },
      { what: 'tick of 10k/100k, maps copied', ...copies },
    ],
    ratios: {
      foldVsCopy: copies['tick ms'] / versions['tick ms'],
      foldVsCopyWithoutPass: copies['fold and publish ms'] / versions['fold and publish ms'],
    },
  }
}

/** Milliseconds of one tick, in all and by its steps. */
interface Sample {
  readonly 'fold and publish ms': number
  readonly 'reconcile ms': number
  readonly 'tick ms': number
}

function medians(samples: readonly Sample[]): Sample {
  const of = (step: keyof Sample): number => median(samples.map((sample) => sample[step]))
  return {
    'fold and publish ms': of('fold and publish ms'),
    'reconcile ms': of('reconcile ms'),
    'tick ms': of('tick ms'),
  }
}

/** Times one tick after another. Neither contender collects the young garbage of the other. */
function ticker(foldAll: (events: readonly FoldEvent[], at: number) => NodeVersion): () => Sample {
  const random = randomSource(11)
  let at = 0
  return () => {
    at += 500
    const events = thousandEvents(size, random, at)
    globalThis.gc?.({ type: 'minor' })
    const start = performance.now()
    const version = foldAll(events, at)
    const folded = performance.now()
    const actions = reconcile(version)
    const reconciled = performance.now()
    const snapshot = projectSnapshot(version, snapshotContext)
    const published = performance.now()
    if (actions.length > 0 || snapshot.replicas.size !== size.chains) throw new Error('the node is not steady')
    return {
      'fold and publish ms': folded - start + (published - reconciled),
      'reconcile ms': reconciled - folded,
      'tick ms': published - start,
    }
  }
}
