import type { ChainId, NodeId } from './ids.js'
import { msSince } from './scalars.js'
import type { MonotonicMs, ReplicaIntent } from './vocabulary.js'

/** What a node knows and wants of one replicated chain. Every row has every field. */
export interface ChainRow {
  readonly chain: ChainId
  /** Sorted, without duplicates. */
  readonly holders: readonly NodeId[]
  readonly leader: NodeId | undefined
  readonly desiredReplicas: number | undefined
  /** Whether this node should hold a copy. */
  readonly localIntent: ReplicaIntent | undefined
  /** When the removal of a copy was last requested, for any reason. */
  readonly lastRebalance: MonotonicMs | undefined
}

const nobody: readonly NodeId[] = Object.freeze([])

/** A chain about which nothing is known yet. */
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

/** The row with one more holder; the same object if it is one already. */
export function withHolder(row: ChainRow, holder: NodeId): ChainRow {
  const holders = holdersWith(row.holders, holder)
  return holders === row.holders ? row : { ...row, holders }
}

/** The row without a holder; the same object if it is not one. */
export function withoutHolder(row: ChainRow, holder: NodeId): ChainRow {
  const holders = holdersWithout(row.holders, holder)
  return holders === row.holders ? row : { ...row, holders }
}

/** The row after its leader was lost and is no longer a holder. */
export function afterLeaderLost(row: ChainRow, holder: NodeId): ChainRow {
  return { ...row, holders: holdersWithout(row.holders, holder), leader: undefined }
}

/** The row after a node has become both holder and leader. */
export function ledBy(row: ChainRow, leader: NodeId): ChainRow {
  return { ...row, holders: holdersWith(row.holders, leader), leader }
}

/** Keeps the list sorted. A plain loop, because this runs for most events. */
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

/** Whether the chain is in its cooldown after a rebalance. */
export function isCoolingDown({ lastRebalance }: ChainRow, now: MonotonicMs, cooldownMs: number): boolean {
  return lastRebalance !== undefined && msSince(lastRebalance, now) < cooldownMs
}

/** Whether the row carries no information: nobody holds, leads or wants the chain. */
export function isInert(row: ChainRow, now: MonotonicMs, cooldownMs: number): boolean {
  const { holders, leader, desiredReplicas = 0, localIntent } = row
  const isWanted = desiredReplicas > 0 || localIntent === 'hold'
  return holders.length === 0 && leader === undefined && !isWanted && !isCoolingDown(row, now, cooldownMs)
}

/**
 * Whether reconciling the replicas may yield an action while no node drains: this node's copy differs from its intent,
 * or it leads the chain and the number of copies is wrong.
 */
export function isUnsettled({ holders, leader, desiredReplicas, localIntent }: ChainRow, thisNode: NodeId): boolean {
  if (localIntent !== undefined && (localIntent === 'hold') !== holders.includes(thisNode)) return true
  return desiredReplicas !== undefined && desiredReplicas !== holders.length && leader === thisNode
}
