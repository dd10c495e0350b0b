import type { NodeAction } from '../../../src/node/action.js'
import type { AdminEvent } from '../../../src/node/admin-event.js'
import type { DaemonRef, DaemonSignal } from '../../../src/node/daemon.js'
import type { NodeEffect } from '../../../src/node/effect.js'
import type { FoldEvent } from '../../../src/node/fold-event.js'
import { fold } from '../../../src/node/fold.js'
import type { BlobId, ChainId, DaemonId, EpochId, NodeId } from '../../../src/node/ids.js'
import { resolveNodeOptions, type NodeOptions } from '../../../src/node/options.js'
import { reconcile } from '../../../src/node/reconcile/reconcile.js'
import type { Scoring } from '../../../src/node/reconcile/scheduler.js'
import { projectSnapshot, type SnapshotContext } from '../../../src/node/snapshot-projection.js'
import type { NodeSnapshot } from '../../../src/node/snapshot.js'
import { NodeState } from '../../../src/node/state.js'

const hex = (number: number): string => number.toString(16).padStart(16, '0')

export const nodeId = (number: number): NodeId => hex(number) as NodeId
export const chainId = (number: number): ChainId => hex(number) as ChainId
export const blobId = (number: number): BlobId => hex(number) as BlobId
export const daemonId = (number: number): DaemonId => hex(number) as DaemonId
export const daemon = (number: number): DaemonRef => ({ id: daemonId(number), name: `daemon ${number}` })

/** The node of every test unless told. */
export const self = nodeId(7)
export const epoch = hex(0xabc) as EpochId
export const minute = 60_000

export const nothingElse: SnapshotContext = {
  epoch,
  pass: 1,
  recentlyEmitted: [],
  recentFailures: [],
  adminAudit: [],
  logRing: [],
  inFlightMigrations: [],
}

/** A node whose events are folded and whose passes are made by hand. */
export class TestNode {
  readonly state: NodeState

  constructor(options: Partial<NodeOptions> = {}) {
    this.state = new NodeState(resolveNodeOptions({ thisNode: self, ...options }))
  }

  /** Folds events, and returns what they ask of the loop. */
  fold(...events: readonly FoldEvent[]): NodeEffect[] {
    return events.flatMap((event) => fold(this.state, event))
  }

  tick(at: number): NodeEffect[] {
    return this.fold({ type: 'tick', at })
  }

  admin(event: AdminEvent): NodeEffect[] {
    return this.fold({ type: 'admin_event', event })
  }

  signal(number: number, signal: DaemonSignal): NodeEffect[] {
    return this.fold({ type: 'daemon_lifecycle', daemon: daemon(number), signal })
  }

  intent(number: number, intent: 'run' | 'stop', node?: NodeId): void {
    this.fold({ type: 'daemon_intent_update', daemon: daemon(number), intent, ...(node !== undefined && { node }) })
  }

  holders(chain: number, ...holders: readonly number[]): void {
    for (const holder of holders) {
      this.fold({ type: 'replica_update', change: 'added', chain: chainId(chain), holder: nodeId(holder) })
    }
  }

  leader(chain: number, leader: NodeId | undefined): void {
    this.fold({ type: 'replica_leader_update', chain: chainId(chain), ...(leader !== undefined && { leader }) })
  }

  desired(chain: number, desiredReplicas: number): void {
    this.fold({ type: 'placement_intent', chain: chainId(chain), desiredReplicas })
  }

  /** What a pass asks for, without anything coming of it. */
  actions(scoring?: Scoring): readonly NodeAction[] {
    return reconcile(this.state.version(), scoring)
  }

  /** A pass whose actions the queue has taken: all of them, or so many. */
  pass(scoring?: Scoring, taken = Infinity): readonly NodeAction[] {
    const actions = this.actions(scoring)
    this.fold({ type: 'reconciled', enqueued: actions.slice(0, taken) })
    return actions
  }

  snapshot(context: Partial<SnapshotContext> = {}): NodeSnapshot {
    return projectSnapshot(this.state.version(), { ...nothingElse, ...context })
  }
}
