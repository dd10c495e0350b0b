import { StatewardError } from '../base/errors.js'
import { constructionMessages, type ConstructionErrorData } from './errors/construction.js'
import { dispatchMessages, type DispatchErrorData } from './errors/dispatch.js'
import { refusalMessages, type RefusalData } from './errors/refusals.js'
import { replayMessages, type ReplayErrorData } from './errors/replay.js'
import { snapshotMessages, type SnapshotErrorData } from './errors/snapshot.js'

/** Data of the errors of using the authority wrongly, by code. */
export interface UsageErrorData {
  /** It has no lane yet. */
  authority_not_started: Record<string, never>
  /** The builder of the batch has returned. */
  batch_closed: Record<string, never>
}

const usageMessages: { readonly [Code in keyof UsageErrorData]: () => string } = {
  authority_not_started: () => 'start the task authority on a lane first',
  batch_closed: () => 'a batch takes commands only until its builder returns; do not await in it',
}

/** Data of every error of the task authority, by code. */
export interface TaskErrorData
  extends ConstructionErrorData,
    RefusalData,
    DispatchErrorData,
    ReplayErrorData,
    SnapshotErrorData,
    UsageErrorData {}

/** Stable code of a {@link TaskError}: the snake_case of the tag in spec mutation authority. */
export type TaskErrorCode = keyof TaskErrorData

/** Code of a command that was valid in form and refused by the state it met. */
export type RefusalCode = keyof RefusalData

const messages: { readonly [Code in TaskErrorCode]: (data: TaskErrorData[Code]) => string } = {
  ...constructionMessages,
  ...refusalMessages,
  ...dispatchMessages,
  ...replayMessages,
  ...snapshotMessages,
  ...usageMessages,
}

/** Raised by the tasks room. The message is derived from `data`. */
export class TaskError<Code extends TaskErrorCode = TaskErrorCode> extends StatewardError<Code, TaskErrorData[Code]> {
  override readonly name = 'TaskError'

  constructor(code: Code, data: TaskErrorData[Code], options?: ErrorOptions) {
    super(code, messages[code](data), data, options)
  }
}

/** True for a refusal: the log and the projection are unchanged. */
export function isRefusal(error: unknown): error is { [Code in RefusalCode]: TaskError<Code> }[RefusalCode] {
  return StatewardError.is(error) && error.code in refusalMessages
}
