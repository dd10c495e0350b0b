import type { ChainId, NodeId } from './ids.js'
import { msSince } from './scalars.js'
import type { MonotonicMs, ReplicaIntent } from './vocabulary.js'

/** What a node knows and wishes of one replicated chain. Every field is there in every row. */
export interface ChainRow {
  readonly chain: ChainId
  /** In order, each once. */
  readonly holders: readonly NodeId[]
  readonly leader: NodeId | undefined
  readonly desiredReplicas: number | undefined
  /** Whether this node should hold a copy. */
  readonly localIntent: ReplicaIntent | undefined
  /** When a copy was last asked to go, for whatever reason. */
  readonly lastRebalance: MonotonicMs | undefined
}

const nobody: readonly NodeId[] = Object.freeze([])

/** A chain of which nothing is known yet. */
export function newChain(chain: ChainId): ChainRow {
  return Object.freeze({
    chain,
    holders: nobody,
    leader: undefined,
    desiredReplicas: undefined,
    localIntent: undefined,
    lastRebalance: undefined,
  })
}

/** The row with one more holder; the same one when it is there already. */
export function withHolder(row: ChainRow, holder: NodeId): ChainRow {
  const holders = holdersWith(row.holders, holder)
  return holders === row.holders ? row : { ...row, holders }
}

/** The row without a holder; the same one when it is not there. */
export function withoutHolder(row: ChainRow, holder: NodeId): ChainRow {
  const holders = holdersWithout(row.holders, holder)
  return holders === row.holders ? row : { ...row, holders }
}

/** The row once its leader is gone, and holds nothing any more. */
export function afterLeaderLost(row: ChainRow, holder: NodeId): ChainRow {
  return { ...row, holders: holdersWithout(row.holders, holder), leader: undefined }
}

/** The row once a node holds a copy and leads. */
export function ledBy(row: ChainRow, leader: NodeId): ChainRow {
  return { ...row, holders: holdersWith(row.holders, leader), leader }
}

/** In order; a loop, because this is done with most events of a loop. */
function holdersWith(holders: readonly NodeId[], holder: NodeId): readonly NodeId[] {
  let place = holders.length
  while (place > 0 && (holders[place - 1] as NodeId) >= holder) place -= 1
  return holders[place] === holder ? holders : holders.toSpliced(place, 0, holder)
}

function holdersWithout(holders: readonly NodeId[], holder: NodeId): readonly NodeId[] {
  const place = holders.indexOf(holder)
  if (place === -1) return holders
  return holders.length === 1 ? nobody : holders.toSpliced(place, 1)
}

/** Whether the chain was rebalanced so lately that it rests. */
export function isCoolingDown({ lastRebalance }: ChainRow, now: MonotonicMs, cooldownMs: number): boolean {
  return lastRebalance !== undefined && msSince(lastRebalance, now) < cooldownMs
}

/** Whether nothing would be different without the row: nobody holds or leads the chain, and nobody wants it. */
export function isInert(row: ChainRow, now: MonotonicMs, cooldownMs: number): boolean {
  const { holders, leader, desiredReplicas = 0, localIntent } = row
  const isWanted = desiredReplicas > 0 || localIntent === 'hold'
  return holders.length === 0 && leader === undefined && !isWanted && !isCoolingDown(row, now, cooldownMs)
}

/**
 * Whether the arm of the replicas may have something to ask for, as long as no node drains: this node should hold a copy and
 * does not, or the other way round, or it leads the chain and the number of copies is not what it should be.
 */
export function isUnsettled({ holders, leader, desiredReplicas, localIntent }: ChainRow, thisNode: NodeId): boolean {
  if (localIntent !== undefined && (localIntent === 'hold') !== holders.includes(thisNode)) return true
  return desiredReplicas !== undefined && desiredReplicas !== holders.length && leader === thisNode
}
