import type { PendingAction } from './action.js'

/** An edge of the cluster flag: the pipeline is overfull, or no longer. `level` is a fraction. */
export interface BackpressureEdge {
  readonly type: 'asserted' | 'released'
  readonly level: number
}

/**
 * Who carries actions out. One is asked at a time, and the next is not asked before this one has answered, so that an answer is
 * to mean "it is under way" and not "it is over".
 */
export interface Dispatcher {
  /**
   * Carries an action out. Raises or rejects with `node.dispatch_failed` where it could not be, which says whether it is worth trying
   * again; whatever else it raises counts as a failure for good.
   */
  dispatch(action: PendingAction): void | PromiseLike<void>
  /** Told of each edge of the cluster flag; synchronous and quick. */
  onClusterBackpressure?(edge: BackpressureEdge): void
}
