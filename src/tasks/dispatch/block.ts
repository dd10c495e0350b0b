import type { TaskId } from '../ids.js'

/** What keeps a ready run from starting in this process. */
export type DispatchBlock =
  /** Nobody has registered a handler or called `start`, or the runtime is closing. */
  | { readonly by: 'dispatch' }
  /** It is paused. */
  | { readonly by: 'engine' }
  /** The task or an ancestor is cancelled; its runs follow. */
  | { readonly by: 'cancellation' }
  /** Somebody holds the run, or an attempt of it is being started or ended. */
  | { readonly by: 'lease'; readonly owner?: string; readonly expiresAtMs?: number }
  | { readonly by: 'handler'; readonly kind: string }
  | { readonly by: 'capabilities'; readonly missing: readonly string[] }
  | { readonly by: 'prerequisites'; readonly taskIds: readonly TaskId[] }
  /** It is spent. */
  | { readonly by: 'budget'; readonly taskId: TaskId }
  /** What it needs is set aside by others. */
  | { readonly by: 'reservation' }
  | { readonly by: 'key'; readonly key: string }
  /** So many run at a time, of all kinds or, where it is named, of its kind. */
  | { readonly by: 'slots'; readonly limit: number; readonly kind?: string }
  /** Another of its kind may start in so many milliseconds. */
  | { readonly by: 'rate'; readonly kind: string; readonly forMs: number }
