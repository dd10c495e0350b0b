import type { AppliedOf, CommandType } from '../commands.js'
import type { EventPayloads, EventType, TaskEvent } from '../events.js'

/** What a valid command becomes: the fact to log and what the caller is told. */
export interface Decision<Type extends CommandType = CommandType> {
  readonly event: TaskEvent
  readonly applied: Type extends CommandType ? AppliedOf<Type> : never
}

/** What actor and platform commands say they did. */
export const noOp = { type: 'no_op' } as const

/** A fact of the current version. */
export function fact<Type extends EventType>(sequence: number, type: Type, payload: EventPayloads[Type]): TaskEvent {
  return { sequence, type, version: 1, ...payload } as unknown as TaskEvent
}
