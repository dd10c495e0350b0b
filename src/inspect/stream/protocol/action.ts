import type { JsonValue } from '../../../base/json.js'
import type { ItemRef } from './item.js'

export const actionNames = ['cancel', 'terminate', 'retry', 'answer', 'pause', 'resume'] as const
export type ActionName = (typeof actionNames)[number]

/** An action, carried out through the ordinary functions of its room. */
export type ActionRequest =
  /** An operation, a task, a run or a process. */
  | { readonly action: 'cancel'; readonly item: ItemRef; readonly reason?: string }
  /** An operation, which ends at once; or a process, whose runner is told to give it up. */
  | { readonly action: 'terminate'; readonly item: ItemRef; readonly reason?: string }
  /** A failed task: a new task replaces it. */
  | { readonly action: 'retry'; readonly item: ItemRef }
  /** A task's question. */
  | { readonly action: 'answer'; readonly item: ItemRef; readonly name: string; readonly value?: JsonValue }
  /** The dispatch of tasks. */
  | { readonly action: 'pause' }
  | { readonly action: 'resume' }

/** The answer to an action; its effect is durable. */
export interface ActionAnswer {
  readonly action: ActionName
  /** The new task of a retry. */
  readonly item?: ItemRef
}
