import {
  isTerminal,
  type OperationAction,
  type OperationKind,
  type OperationStatus,
} from '../../machines/operation-vocabulary.js'

/** A status as the classifiers accept it; `absent` stands for an unknown id. */
export type ObservedStatus = OperationStatus | 'absent'

/** The publicly visible result of an operation (O-26). */
export const publicResultClasses = ['missing_authority', 'running', 'completed', 'failed', 'cancelled'] as const
export type PublicResultClass = (typeof publicResultClasses)[number]

/** Whether a completion wakes an idle runtime. */
export const completionWakeClasses = ['wake', 'ignore'] as const
export type CompletionWakeClass = (typeof completionWakeClasses)[number]

/** How the registry treats the completions of one kind (O-27). */
interface KindClasses {
  /** Whether the completion appears in the feed. */
  readonly feed: 'emit' | 'suppress'
  readonly wake: CompletionWakeClass
  /** Whether the record outlives its end. */
  readonly durability: 'retain' | 'discard'
}

/** The properties that depend on the kind alone. */
export const kindClasses: Readonly<Record<OperationKind, KindClasses>> = {
  mob_member_child: { feed: 'emit', wake: 'ignore', durability: 'retain' },
  background_tool_op: { feed: 'emit', wake: 'wake', durability: 'retain' },
  background_tool_capacity_slot: { feed: 'suppress', wake: 'ignore', durability: 'discard' },
}

/** The public result for each status (O-26). */
export const publicResultOf: Readonly<Record<ObservedStatus, PublicResultClass>> = {
  absent: 'missing_authority',
  provisioning: 'running',
  running: 'running',
  retiring: 'running',
  completed: 'completed',
  failed: 'failed',
  terminated: 'failed',
  aborted: 'cancelled',
  cancelled: 'cancelled',
  retired: 'cancelled',
}

/**
 * For each action, the statuses in which repeating it counts as success: the live one, and whether the terminal ones do
 * too (O-25).
 */
const repeats: Readonly<Record<OperationAction, { readonly live?: OperationStatus; readonly terminal: boolean }>> = {
  start: { live: 'running', terminal: false },
  retire_requested: { live: 'retiring', terminal: true },
  retire_completed: { terminal: true },
  peer_ready: { terminal: true },
  progress_reported: { terminal: true },
  abort: { terminal: true },
  complete: { terminal: false },
  fail: { terminal: false },
  cancel: { terminal: false },
  terminate: { terminal: false },
}

/** Whether an action that was refused as an invalid transition counts as already done (O-25). */
export function isIdempotentRepeat(status: ObservedStatus, action: OperationAction): boolean {
  if (status === 'absent') return false
  const { live, terminal } = repeats[action]
  return status === live || (terminal && isTerminal(status))
}
