/** What an {@link ItemRef} can point to. `job`: code that runs in this process, whatever its room. */
export const itemTypes = ['operation', 'task', 'run', 'process', 'job', 'daemon'] as const
export type ItemType = (typeof itemTypes)[number]

/** Something that has a history of its own. */
export interface ItemRef {
  readonly type: ItemType
  readonly id: string
  /** Of operations: ids are looked up in a session. */
  readonly session?: string
}

/** Where an item stands, in the words that all rooms share. `lost`: it was under way when its process ended. */
export const itemPhases = ['waiting', 'running', 'ending', 'completed', 'failed', 'cancelled', 'lost'] as const
export type ItemPhase = (typeof itemPhases)[number]

/** One row of a list. */
export interface ItemRow extends ItemRef {
  readonly name: string
  readonly kind: string
  readonly phase: ItemPhase
  /** In the word of its room: `provisioning`, `retry_wait`, ... */
  readonly status: string
  /** What it waits for, in words. */
  readonly waitsFor?: string
  readonly progress?: Progress
  /** Why it has failed, or what it last failed of. */
  readonly error?: string
  /** From 1, where there is more than one try. */
  readonly attempt?: number
  readonly parent?: ItemRef
  /** Who runs it: a session, a task, the owner of a lease. */
  readonly owner?: string
  readonly createdAtMs?: number
  readonly startedAtMs?: number
  readonly endedAtMs?: number
}

/** How far something says it is. */
export interface Progress {
  readonly message: string
  /** From 0 to 1. */
  readonly fraction?: number
}
