import type { Deadline, DeadlineQueue } from '../base/deadline-queue.js'
import type { NodeAction, PendingAction } from './action.js'

/** An action that waits for its time. */
export interface DeferredAction {
  readonly pending: PendingAction
  /** How often it, or what it took the place of, has been put off. */
  readonly deferrals: number
}

/**
 * Actions that wait for their time, one for each kind and target: reconciliation asks for the same again in every pass until it
 * is done, and the latest asking takes the place of the one before it, with its budget (H-4).
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

  /** Puts an action off; true when it took the place of another. */
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

  /** Gives up what waits, and says what that was. */
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

/** The kind of an action and what it is done to. */
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
