import { initialFreeze, type FreezePlace } from '../../machines/freeze-gate.js'
import { initialMaintenance, type MaintenancePlace } from '../../machines/maintenance.js'
import { VersionedTable } from '../state/versioned-table.js'
import type { BlobRow } from './blob-row.js'
import { isInert, isUnsettled, newChain, type ChainRow } from './chain-row.js'
import { canStop, isTimed, isUnsettledDaemon, isWantedHere, type DaemonRow } from './daemon-row.js'
import { noneForced, type ForcedEntries } from './forced.js'
import type { BlobId, ChainId, DaemonId, NodeId } from './ids.js'
import type { NodeConfiguration } from './options.js'
import { isUnknown, newPeer, type AvoidRow, type PeerRow } from './peer-row.js'
import type { Restart } from './restart.js'
import type { MonotonicMs } from './vocabulary.js'

/** What a node knows and wants at one instant. Immutable. */
export interface NodeVersion {
  readonly configuration: NodeConfiguration
  /** The instant of the last tick, or of the start before the first tick. */
  readonly now: MonotonicMs
  readonly daemons: ReadonlyMap<DaemonId, DaemonRow>
  readonly chains: ReadonlyMap<ChainId, ChainRow>
  /** Daemons whose actual and desired states differ (see `isUnsettledDaemon`). */
  readonly unsettledDaemons: ReadonlyMap<DaemonId, DaemonRow>
  /** Chains whose actual and desired states differ (see `isUnsettled`). */
  readonly unsettledChains: ReadonlyMap<ChainId, ChainRow>
  /** The number of chains of which this node holds a copy. */
  readonly heldHere: number
  readonly peers: ReadonlyMap<NodeId, PeerRow>
  readonly blobs: ReadonlyMap<BlobId, BlobRow>
  readonly avoided: ReadonlyMap<NodeId, AvoidRow>
  readonly maintenance: MaintenancePlace
  readonly freeze: FreezePlace
  /** Whether this node accepts nothing new. */
  readonly isCordoned: boolean
  readonly forced: ForcedEntries
  /** Restarts that operators have asked for, in order; they are carried out one at a time. */
  readonly restarts: readonly Restart[]
  /** The participants that a drain waits for, and whether each is idle. */
  readonly participants: ReadonlyMap<string, boolean>
}

/** Whether the cluster is frozen at the instant of the last tick, so that nothing is reconciled. */
export function isFrozen({ freeze, now }: Pick<NodeVersion, 'freeze' | 'now'>): boolean {
  return freeze.value === 'frozen' && now < (freeze.context.until ?? now)
}

/** The daemons that run here and should, sorted. */
export function runningHere(state: NodeState): DaemonId[] {
  const { thisNode } = state.configuration
  const running = [...state.daemons()].filter((row) => canStop(row) && isWantedHere(row, thisNode))
  return running.map(({ id }) => id)
}

/**
 * The state of one node, changed in place by the fold alone. Rows are frozen; readers take a {@link NodeState.version},
 * whose cost depends on what has changed since the last one.
 */
export class NodeState {
  readonly configuration: NodeConfiguration
  now: MonotonicMs = 0
  maintenance: MaintenancePlace = initialMaintenance
  freeze: FreezePlace = initialFreeze
  isCordoned = false
  forced: ForcedEntries = noneForced
  restarts: readonly Restart[] = []
  readonly blobs = new VersionedTable<BlobId, BlobRow>()
  readonly avoided = new VersionedTable<NodeId, AvoidRow>()
  readonly #daemons = new VersionedTable<DaemonId, DaemonRow>()
  readonly #chains = new VersionedTable<ChainId, ChainRow>()
  readonly #unsettledDaemons = new VersionedTable<DaemonId, DaemonRow>()
  readonly #unsettledChains = new VersionedTable<ChainId, ChainRow>()
  #heldHere = 0
  readonly #peers = new VersionedTable<NodeId, PeerRow>()
  #participants: ReadonlyMap<string, boolean> = new Map()
  /** Daemons that time will change. */
  readonly #timed = new Set<DaemonId>()
  /** Chains whose rows may carry no information any more. */
  readonly #inert = new Set<ChainId>()

  constructor(configuration: NodeConfiguration) {
    this.configuration = configuration
  }

  /** An immutable version of the current state. */
  version(): NodeVersion {
    return {
      configuration: this.configuration,
      now: this.now,
      daemons: this.#daemons.version(),
      chains: this.#chains.version(),
      unsettledDaemons: this.#unsettledDaemons.version(),
      unsettledChains: this.#unsettledChains.version(),
      heldHere: this.#heldHere,
      peers: this.#peers.version(),
      blobs: this.blobs.version(),
      avoided: this.avoided.version(),
      maintenance: this.maintenance,
      freeze: this.freeze,
      isCordoned: this.isCordoned,
      forced: this.forced,
      restarts: this.restarts,
      participants: this.#participants,
    }
  }

  daemon(id: DaemonId): DaemonRow | undefined {
    return this.#daemons.get(id)
  }

  /** Every daemon, sorted. */
  daemons(): Iterable<DaemonRow> {
    return this.#daemons.version().values()
  }

  putDaemon(row: DaemonRow): void {
    this.#daemons.set(row.id, row)
    if (isTimed(row)) this.#timed.add(row.id)
    else this.#timed.delete(row.id)
    if (isUnsettledDaemon(row, this.configuration.thisNode)) this.#unsettledDaemons.set(row.id, row)
    else this.#unsettledDaemons.delete(row.id)
  }

  removeDaemon(id: DaemonId): void {
    this.#daemons.delete(id)
    this.#unsettledDaemons.delete(id)
    this.#timed.delete(id)
  }

  /** Daemons that time may change. */
  timedDaemons(): DaemonRow[] {
    return [...this.#timed].flatMap((id) => this.#daemons.get(id) ?? [])
  }

  chain(chain: ChainId): ChainRow | undefined {
    return this.#chains.get(chain)
  }

  /** Changes a chain's row, creating it if needed. */
  changeChain(chain: ChainId, change: (row: ChainRow) => ChainRow): void {
    const known = this.#chains.get(chain)
    this.putChain(change(known ?? newChain(chain)), known)
  }

  /** Replaces a chain's row; `known` is the row before. */
  putChain(row: ChainRow, known: ChainRow | undefined): void {
    if (row === known) return
    const { thisNode } = this.configuration
    const { chain } = row
    this.#chains.set(chain, row)
    if (isUnsettled(row, thisNode)) this.#unsettledChains.set(chain, row)
    else this.#unsettledChains.delete(chain)
    if (row.holders !== known?.holders) {
      this.#heldHere += Number(row.holders.includes(thisNode)) - Number(known?.holders.includes(thisNode) ?? false)
    }
    // The tick checks later whether its cooldown is over.
    if (isInert(row, Infinity, 0)) this.#inert.add(chain)
  }

  /** Removes chains that nobody holds, leads or wants. */
  pruneChains(): void {
    const { cooldownMs } = this.configuration.scheduler
    for (const chain of this.#inert) {
      const row = this.#chains.get(chain)
      const isLeft = row !== undefined && isInert(row, Infinity, 0)
      if (isLeft && !isInert(row, this.now, cooldownMs)) continue
      this.#inert.delete(chain)
      if (isLeft) this.#chains.delete(chain)
    }
  }

  peer(node: NodeId): PeerRow | undefined {
    return this.#peers.get(node)
  }

  /** Every node about which something is known, sorted. */
  peers(): Iterable<PeerRow> {
    return this.#peers.version().values()
  }

  /** Changes the row of a node, and removes it when nothing is known about it any more. */
  changePeer(node: NodeId, change: Partial<PeerRow>): void {
    const row = { ...(this.#peers.get(node) ?? newPeer(node)), ...change }
    if (isUnknown(row)) this.#peers.delete(node)
    else this.#peers.set(node, row)
  }

  removePeer(node: NodeId): void {
    this.#peers.delete(node)
    this.avoided.delete(node)
  }

  setParticipant(name: string, isIdle: boolean): void {
    if (this.#participants.get(name) === isIdle) return
    this.#participants = new Map(this.#participants).set(name, isIdle)
  }
}
