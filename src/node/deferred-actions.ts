import type { Deadline, DeadlineQueue } from '../base/deadline-queue.js'
import type { NodeAction, PendingAction } from './action.js'

/** An action that waits for its time. */
export interface DeferredAction {
  readonly pending: PendingAction
  /** How often it, or an action that it replaced, was deferred. */
  readonly deferrals: number
}

/**
 * Deferred actions, one for each type and target. Reconciliation asks for the same action in every pass until it is
 * done; the latest request replaces the previous one and inherits its deferrals (H-4).
 */
export class DeferredActions implements Disposable {
  readonly #deadlines: DeadlineQueue
  readonly #onDue: (deferred: DeferredAction) => void
  readonly #waiting = new Map<string, DeferredAction & { readonly deadline: Deadline }>()

  constructor(deadlines: DeadlineQueue, onDue: (deferred: DeferredAction) => void) {
    this.#deadlines = deadlines
    this.#onDue = onDue
  }

  get size(): number {
    return this.#waiting.size
  }

  /** Defers an action; true when it replaced another. */
  add({ pending, deferrals }: DeferredAction, delayMs: number): boolean {
    const key = keyOf(pending.action)
    const before = this.#waiting.get(key)
    before?.deadline[Symbol.dispose]()
    const deferred: DeferredAction = { pending, deferrals: Math.max(deferrals, before?.deferrals ?? 0) }
    const deadline = this.#deadlines.after(delayMs, () => {
      this.#waiting.delete(key)
      this.#onDue(deferred)
    })
    this.#waiting.set(key, { ...deferred, deadline })
    return before !== undefined
  }

  /** Drops the deferred actions and returns them. */
  clear(): readonly DeferredAction[] {
    const left = [...this.#waiting.values()]
    for (const { deadline } of left) deadline[Symbol.dispose]()
    this.#waiting.clear()
    return left
  }

  [Symbol.dispose](): void {
    this.clear()
  }
}

/** The type of an action and its target. */
export function keyOf(action: NodeAction): string {
  return `${action.type} ${targetOf(action)}`
}

function targetOf(action: NodeAction): string {
  switch (action.type) {
    case 'start_daemon':
    case 'stop_daemon':
    case 'apply_backoff':
      return action.daemon.id
    case 'pull_replica':
    case 'drop_replica':
    case 'request_placement':
      return action.chain
    case 'request_eviction':
      return `${action.chain} ${action.victim}`
    case 'mark_avoid':
      return action.peer
    case 'commit_maintenance_transition':
      return action.node
  }
}
