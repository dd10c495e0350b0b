import { newChain, withHolder, withoutHolder, type ChainRow } from '../../src/node/chain-row.js'
import { newDaemon, signalled, type DaemonRow } from '../../src/node/daemon-row.js'
import type { FoldEvent } from '../../src/node/fold-event.js'
import { fold } from '../../src/node/fold.js'
import type { ChainId, DaemonId, NodeId } from '../../src/node/ids.js'
import { nodeDefaults } from '../../src/node/options.js'
import { newPeer, type PeerRow } from '../../src/node/peer-row.js'
import { interleave, type BenchOptions } from '../harness.js'
import { median } from '../statistics.js'
import type { Part } from '../tasks.js'
import { randomSource, steadyNode, thousandEvents } from './life.js'

const size = { daemons: 10_000, chains: 100_000 }

/** The same rows by the same functions in plain maps, which are copied for whoever reads: once per tick. */
class CopiedTables {
  readonly #daemons: Map<DaemonId, DaemonRow>
  readonly #chains: Map<ChainId, ChainRow>
  readonly #peers: Map<NodeId, PeerRow>

  constructor() {
    const { daemons, chains, peers } = steadyNode(size).version()
    this.#daemons = new Map(daemons)
    this.#chains = new Map(chains)
    this.#peers = new Map(peers)
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

  publish(): readonly ReadonlyMap<string, unknown>[] {
    return [new Map(this.#daemons), new Map(this.#chains), new Map(this.#peers)]
  }
}

/** What it costs to fold a thousand events and publish the tables, by versions and by copies of maps. */
export async function measureCopies({ quick, progress }: BenchOptions): Promise<Part> {
  progress('tables by versions and by copies')
  const state = steadyNode(size)
  const copied = new CopiedTables()
  const random = randomSource(11)
  const timed = (work: (events: readonly FoldEvent[]) => unknown) => (): number => {
    const events = thousandEvents(size, random, 1000)
    const start = performance.now()
    const published = work(events)
    const taken = performance.now() - start
    if (published === undefined) throw new Error('nothing was published')
    return taken
  }
  const samples = await interleave(
    {
      versions: timed((events) => {
        for (const event of events) fold(state, event)
        return state.version()
      }),
      copies: timed((events) => {
        for (const event of events) copied.fold(event)
        return copied.publish()
      }),
    },
    { rounds: quick ? 5 : 60, warmups: quick ? 2 : 20 },
  )
  const [versions, copies] = [median(samples.versions), median(samples.copies)]
  return {
    rows: [
      { what: 'fold of 1,000 events and publish, versions', 'tick ms': versions },
      { what: 'fold of 1,000 events and publish, maps copied', 'tick ms': copies },
    ],
    ratios: { foldVsCopy: copies / versions },
  }
}
