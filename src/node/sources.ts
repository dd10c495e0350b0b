import type { Clock } from '../base/clock.js'
import { StatewardError } from '../base/errors.js'
import type { DaemonHealth, DaemonRef, DaemonSignal } from './daemon.js'
import type { NodeEvent } from './event.js'
import type { ChainId, NodeId } from './ids.js'
import type { PublishHandle } from './publish-handle.js'

/**
 * Reports events of a part of the program to a loop without ever waiting or throwing: events that find no room are
 * dropped and counted.
 */
abstract class PushSource implements Disposable {
  readonly #handle: PublishHandle
  #dropped = 0

  constructor(handle: PublishHandle) {
    this.#handle = handle
  }

  /** The number of dropped events. */
  get dropped(): number {
    return this.#dropped
  }

  [Symbol.dispose](): void {
    this.#handle.close()
  }

  protected push(event: NodeEvent): void {
    try {
      this.#handle.tryPublish(event)
    } catch (refusal) {
      if (!StatewardError.is(refusal, 'node.queue_full') && !StatewardError.is(refusal, 'node.loop_closed'))
        throw refusal
      this.#dropped += 1
    }
  }
}

/**
 * Reports to a loop which copies of chains this node holds and leads. A change made in one step is one event, so that a
 * full queue cannot drop half of it (N-426).
 */
export class ReplicaSource extends PushSource {
  readonly #thisNode: NodeId

  constructor(handle: PublishHandle, thisNode: NodeId) {
    super(handle)
    this.#thisNode = thisNode
  }

  becameHolder(chain: ChainId): void {
    this.push({ type: 'replica_update', change: 'added', chain, holder: this.#thisNode })
  }

  idled(chain: ChainId): void {
    this.push({ type: 'replica_update', change: 'removed', chain, holder: this.#thisNode })
  }

  becameLeader(chain: ChainId): void {
    this.push({ type: 'replica_leader_update', chain, leader: this.#thisNode })
  }

  lostLeadership(chain: ChainId): void {
    this.push({ type: 'replica_leader_update', chain })
  }

  becameHolderAndLeader(chain: ChainId): void {
    this.push({ type: 'replica_became_holder_and_leader', chain, holder: this.#thisNode })
  }

  lostLeadershipAndIdled(chain: ChainId): void {
    this.push({ type: 'replica_leader_lost_and_removed', chain, holder: this.#thisNode })
  }
}

/** Reports to a loop the daemons that other code runs in this process (N-426). */
export class DaemonSource extends PushSource {
  readonly #clock: Pick<Clock, 'monotonicNow'>

  constructor(handle: PublishHandle, clock: Pick<Clock, 'monotonicNow'>) {
    super(handle)
    this.#clock = clock
  }

  registered(daemon: DaemonRef): void {
    this.#tell(daemon, { type: 'started', at: this.#clock.monotonicNow() })
  }

  unregistered(daemon: DaemonRef): void {
    this.#tell(daemon, { type: 'exited_cleanly', at: this.#clock.monotonicNow() })
  }

  /** One replaces another: the old one has ended before the new one starts. */
  replaced(before: DaemonRef, after: DaemonRef): void {
    this.unregistered(before)
    this.registered(after)
  }

  crashed(daemon: DaemonRef, reason: string): void {
    this.#tell(daemon, { type: 'crashed', at: this.#clock.monotonicNow(), reason })
  }

  healthChanged(daemon: DaemonRef, health: DaemonHealth): void {
    this.#tell(daemon, { type: 'health_changed', at: this.#clock.monotonicNow(), health })
  }

  saturationChanged(daemon: DaemonRef, saturation: number): void {
    this.#tell(daemon, { type: 'saturation_changed', at: this.#clock.monotonicNow(), saturation })
  }

  #tell(daemon: DaemonRef, signal: DaemonSignal): void {
    this.push({ type: 'daemon_lifecycle', daemon, signal })
  }
}
