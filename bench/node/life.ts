import type { FoldEvent } from '../../src/node/fold-event.js'
import { fold } from '../../src/node/fold.js'
import type { ChainId, DaemonId, EpochId, NodeId } from '../../src/node/ids.js'
import { resolveNodeOptions } from '../../src/node/options.js'
import type { SnapshotContext } from '../../src/node/snapshot-projection.js'
import { NodeState } from '../../src/node/state.js'

/** How many of everything a node of a measurement knows. */
export interface NodeSize {
  readonly daemons: number
  readonly chains: number
}

const nodes = 100
/** Copies of each chain. */
const copies = 3

/** Flat text, as whatever is read from outside is: one that was put together from parts is slower to compare. */
function hex(number: number): string {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt32BE(number, 4)
  return bytes.toString('hex')
}

/** The same numbers in every run. */
export function randomSource(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state % below
  }
}

const spreadIds: string[] = []
const nodeIds = Array.from({ length: nodes + 1 }, (_, index) => hex(index) as NodeId)

/** Ids that are spread as digests are. */
function spread(number: number): string {
  return (spreadIds[number] ??= hex(Math.imul(number + 1, 2_654_435_761) >>> 0))
}

const thisNode = nodeIds[1] as NodeId

function nodeAt(index: number): NodeId {
  return nodeIds[(index % nodes) + 1] as NodeId
}

/** A node on which everything runs and is held as it should be; it leads a third of its chains. */
export function steadyNode({ daemons, chains }: NodeSize): NodeState {
  const state = new NodeState(resolveNodeOptions({ thisNode }))
  fold(state, { type: 'started', at: 0 })
  for (let index = 0; index < daemons; index += 1) {
    const daemon = { id: spread(index) as DaemonId, name: `daemon ${index}` }
    fold(state, { type: 'daemon_intent_update', daemon, intent: 'run' })
    fold(state, { type: 'daemon_lifecycle', daemon, signal: { type: 'started', at: 0 } })
  }
  for (let index = 0; index < chains; index += 1) {
    const chain = spread(index) as ChainId
    for (let copy = 0; copy < copies; copy += 1) {
      fold(state, {
        type: 'replica_update',
        change: 'added',
        chain,
        holder: nodeAt(index + copy),
      })
    }
    fold(state, { type: 'replica_leader_update', chain, leader: nodeAt(index % 3) })
    fold(state, { type: 'placement_intent', chain, desiredReplicas: copies })
  }
  for (let index = 1; index <= nodes; index += 1) {
    fold(state, { type: 'rtt_sample', peer: nodeAt(index), rttMs: index })
  }
  state.version()
  return state
}

/** A thousand events of an ordinary half second: copies that come and go again, leaders, daemons, distances. */
export function thousandEvents(
  { daemons, chains }: NodeSize,
  random: (below: number) => number,
  at: number,
): FoldEvent[] {
  let chain = spread(0) as ChainId
  let holder = thisNode
  return Array.from({ length: 1000 }, (_, index): FoldEvent => {
    if (index % 2 === 0) {
      chain = spread(random(chains)) as ChainId
      holder = nodeAt(random(nodes))
    }
    switch (index % 10) {
      case 0:
      case 2:
        return { type: 'replica_update', change: 'added', chain, holder }
      case 1:
      case 3:
        return { type: 'replica_update', change: 'removed', chain, holder }
      case 4:
        return { type: 'placement_intent', chain, desiredReplicas: copies }
      case 5:
        return { type: 'replica_leader_update', chain, leader: holder }
      case 6:
        return { type: 'rtt_sample', peer: holder, rttMs: random(200) }
      case 7: {
        const id = spread(random(daemons)) as DaemonId
        return { type: 'daemon_lifecycle', daemon: { id, name: '' }, signal: { type: 'started', at } }
      }
      default: {
        const id = spread(random(daemons)) as DaemonId
        const saturation = random(100) / 100
        return {
          type: 'daemon_lifecycle',
          daemon: { id, name: '' },
          signal: { type: 'saturation_changed', at, saturation },
        }
      }
    }
  })
}

/** What a snapshot shows besides the state: nothing. */
export const snapshotContext: SnapshotContext = {
  epoch: '0000000000000001' as EpochId,
  pass: 1,
  recentlyEmitted: [],
  recentFailures: [],
  adminAudit: [],
  logRing: [],
  inFlightMigrations: [],
}
