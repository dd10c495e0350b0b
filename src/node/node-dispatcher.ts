import type { Clock } from '../base/clock.js'
import type { NodeAction, PendingAction } from './action.js'
import { daemonControlOf, type ControlEvent, type ControlSink } from './control-event.js'
import type { DaemonSupervisor } from './daemon-supervisor.js'
import type { BackpressureEdge, Dispatcher } from './dispatch.js'
import { NodeError } from './errors.js'
import type { NodeEvent } from './event.js'
import type { NodeHistory } from './history.js'
import type { ChainId, NodeId } from './ids.js'
import { stateAfter, type MaintenanceTransition } from './maintenance.js'
import { transitionChange } from './remembering.js'
import type { MonotonicMs } from './vocabulary.js'

/** Keeps the copies of chains on this node. */
export interface ReplicaStore {
  /** Fetches a copy from a node that has one, and reports it to the loop as `replica_update` when it is there. */
  pull(chain: ChainId, source: NodeId): void | Promise<void>
  /** Deletes the copy of this node. */
  drop(chain: ChainId): void | Promise<void>
}

/** Decides which node holds what; shared by the nodes of a cluster. */
export interface PlacementSource {
  /** Asks for another copy, on `target` or on any node that is not excluded. */
  requestPlacement(chain: ChainId, exclude: readonly NodeId[], target?: NodeId): void | Promise<void>
  /** Asks for a node's copy to be removed. */
  requestEviction(chain: ChainId, victim: NodeId): void | Promise<void>
  /** Decides again what the node runs and holds. */
  invalidate(node: NodeId): void
}

/** Options of a {@link NodeDispatcher}. */
export interface NodeDispatcherOptions {
  readonly supervisor: DaemonSupervisor
  readonly history: Pick<NodeHistory, 'change'>
  readonly clock: Clock
  /** The instant of the last tick. */
  readonly now: () => MonotonicMs
  /** Publishes an event of the node's own to the loop; resolves once it is in the queue. */
  readonly post: (event: NodeEvent) => Promise<unknown>
  readonly replicas?: ReplicaStore
  readonly placement?: PlacementSource
  /** Receives control events in addition to the daemons. */
  readonly control?: ControlSink
}

/** Carries out the actions of a node, and passes its control events to the daemons (N-440). */
export class NodeDispatcher implements Dispatcher, ControlSink {
  readonly #options: NodeDispatcherOptions

  constructor(options: NodeDispatcherOptions) {
    this.#options = options
  }

  dispatch({ action }: PendingAction): void | Promise<void> {
    const { supervisor, clock } = this.#options
    switch (action.type) {
      case 'start_daemon':
        return supervisor.start(action.daemon)
      case 'stop_daemon':
        return supervisor.stop(action.daemon, Math.max(0, action.deadline - clock.monotonicNow()))
      case 'pull_replica':
        return this.#replicas(action).pull(action.chain, action.source)
      case 'drop_replica':
        return this.#replicas(action).drop(action.chain)
      case 'request_placement':
        return this.#placement(action).requestPlacement(action.chain, action.exclude, action.target)
      case 'request_eviction':
        return this.#placement(action).requestEviction(action.chain, action.victim)
      case 'apply_backoff':
      case 'mark_avoid':
        // Nothing to do: admission has closed the daemon's gate, and the loop has recorded the avoidance.
        return
      case 'commit_maintenance_transition':
        return this.#commit(action.node, action.target)
    }
  }

  onClusterBackpressure({ type, level }: BackpressureEdge): void {
    this.emit(type === 'asserted' ? { type: 'backpressure_on', level } : { type: 'backpressure_off' })
  }

  emit(event: ControlEvent): void {
    const { supervisor, clock, control } = this.#options
    supervisor.broadcast(daemonControlOf(event, clock.monotonicNow()))
    control?.emit(event)
  }

  /** It must be durable before it is observed. */
  async #commit(node: NodeId, target: MaintenanceTransition): Promise<void> {
    const { history, clock, now, post } = this.#options
    const since = now()
    const state = stateAfter(target, since)
    const anchor = { monotonic: clock.monotonicNow(), wall: clock.wallNow() }
    await history.change(transitionChange(node, state, anchor))
    await post({ type: 'maintenance_transition_observed', node, state })
  }

  #replicas({ type }: NodeAction): ReplicaStore {
    const { replicas } = this.#options
    if (replicas === undefined) throw new NodeError('node.unsupported', { action: type, needed: 'replica store' })
    return replicas
  }

  #placement({ type }: NodeAction): PlacementSource {
    const { placement } = this.#options
    if (placement === undefined) throw new NodeError('node.unsupported', { action: type, needed: 'placement source' })
    return placement
  }
}
