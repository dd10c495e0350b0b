import type { JsonValue } from '../../../base/json.js'
import type { ItemRef } from './item.js'

export const actionNames = ['cancel', 'terminate', 'retry', 'answer', 'pause', 'resume'] as const
export type ActionName = (typeof actionNames)[number]

/** What can be done, each through the ordinary door of its room. */
export type ActionRequest =
  /** An operation, a task, a run or a process. */
  | { readonly action: 'cancel'; readonly item: ItemRef; readonly reason?: string }
  /** An operation, at once; a process, which whoever runs it is told to give up. */
  | { readonly action: 'terminate'; readonly item: ItemRef; readonly reason?: string }
  /** A task that has failed: a new task takes its place. */
  | { readonly action: 'retry'; readonly item: ItemRef }
  /** A question of a task. */
  | { readonly action: 'answer'; readonly item: ItemRef; readonly name: string; readonly value?: JsonValue }
  /** The dispatch of tasks. */
  | { readonly action: 'pause' }
  | { readonly action: 'resume' }

/** What was done is durable. */
export interface ActionAnswer {
  readonly action: ActionName
  /** The new task of a retry. */
  readonly item?: ItemRef
}
