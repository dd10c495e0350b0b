import type { PendingAction } from './action.js'

/** An edge of the cluster flag: backpressure begins or ends. `level` is a fraction. */
export interface BackpressureEdge {
  readonly type: 'asserted' | 'released'
  readonly level: number
}

/**
 * Carries out actions, one at a time: the next is not dispatched before this one is answered. An answer should
 * therefore mean that the action is under way, not that it is complete.
 */
export interface Dispatcher {
  /**
   * Carries out an action. Raises or rejects with `node.dispatch_failed`, which says whether a retry makes sense; any
   * other error is a permanent failure.
   */
  dispatch(action: PendingAction): void | PromiseLike<void>
  /** Called at each edge of the cluster flag; must be synchronous and quick. */
  onClusterBackpressure?(edge: BackpressureEdge): void
}
