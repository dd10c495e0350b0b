import type { TaskId } from '../ids.js'

/** What prevents a ready run from starting in this process. */
export type DispatchBlock =
  /** No handler is registered and `start` was not called, or the runtime is closing. */
  | { readonly by: 'dispatch' }
  /** The engine is paused. */
  | { readonly by: 'engine' }
  /** The task or an ancestor is cancelled; its runs will be cancelled too. */
  | { readonly by: 'cancellation' }
  /** Another worker holds the run, or an attempt of it is starting or ending here. */
  | { readonly by: 'lease'; readonly owner?: string; readonly expiresAtMs?: number }
  | { readonly by: 'handler'; readonly kind: string }
  | { readonly by: 'capabilities'; readonly missing: readonly string[] }
  | { readonly by: 'prerequisites'; readonly taskIds: readonly TaskId[] }
  /** A budget is exhausted. */
  | { readonly by: 'budget'; readonly taskId: TaskId }
  /** Others have reserved the amount that it needs. */
  | { readonly by: 'reservation' }
  | { readonly by: 'key'; readonly key: string }
  /** As many attempts as allowed are running: of its kind if `kind` is present, otherwise of all kinds. */
  | { readonly by: 'slots'; readonly limit: number; readonly kind?: string }
  /** The rate limit of its kind: another may start in `forMs` milliseconds. */
  | { readonly by: 'rate'; readonly kind: string; readonly forMs: number }
