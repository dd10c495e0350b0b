import type { Clock } from '../base/clock.js'
import { StatewardError } from '../base/errors.js'
import type { DaemonHealth, DaemonRef, DaemonSignal } from './daemon.js'
import type { NodeEvent } from './event.js'
import type { ChainId, NodeId } from './ids.js'
import type { PublishHandle } from './publish-handle.js'

/** Tells a loop what a part of the program has seen, without ever waiting or throwing: what finds no room is lost and counted. */
abstract class PushSource implements Disposable {
  readonly #handle: PublishHandle
  #dropped = 0

  constructor(handle: PublishHandle) {
    this.#handle = handle
  }

  /** Events that were lost. */
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
 * Tells a loop which copies of chains this node holds and leads. What happens in one step is one event, so that a full queue cannot
 * lose the half of it (N-426).
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

/** Tells a loop of daemons that somebody else runs in this process (N-426). */
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

  /** One takes the place of another: the old one has gone before the new one is there. */
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
