/** The types of items that an {@link ItemRef} can point to. `job`: code that runs in this process, of any room. */
export const itemTypes = ['operation', 'task', 'run', 'process', 'job', 'daemon'] as const
export type ItemType = (typeof itemTypes)[number]

/** Something with its own history. */
export interface ItemRef {
  readonly type: ItemType
  readonly id: string
  /** For operations: the session that the id belongs to. */
  readonly session?: string
}

/** The phase of an item, with the same words for all rooms. `lost`: it was running when its process ended. */
export const itemPhases = ['waiting', 'running', 'ending', 'completed', 'failed', 'cancelled', 'lost'] as const
export type ItemPhase = (typeof itemPhases)[number]

/** One row of a list. */
export interface ItemRow extends ItemRef {
  readonly name: string
  readonly kind: string
  readonly phase: ItemPhase
  /** The status in its room's own words: `provisioning`, `retry_wait`, ... */
  readonly status: string
  /** What it waits for, in words. */
  readonly waitsFor?: string
  readonly progress?: Progress
  /** Why it failed, or the error of its last attempt. */
  readonly error?: string
  /** From 1, if it can be attempted more than once. */
  readonly attempt?: number
  readonly parent?: ItemRef
  /** Who runs it: a session, a task, the owner of a lease. */
  readonly owner?: string
  readonly createdAtMs?: number
  readonly startedAtMs?: number
  readonly endedAtMs?: number
}

/** The progress that an item has reported. */
export interface Progress {
  readonly message: string
  /** From 0 to 1. */
  readonly fraction?: number
}
