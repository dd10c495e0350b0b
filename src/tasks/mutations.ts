import type { CommandType, MutationOutcome, CommandOf, TaskCommand } from './commands.js'
import type { TaskEvent } from './events.js'
import type { TaskView } from './view.js'

/**
 * When a command counts as taken (spec mutation authority 4.3). `immediate`: once it is on stable storage. `deferred`:
 * once it is valid and has its place in the log; a crash within the running sync may take it back.
 */
export type Durability = 'immediate' | 'deferred'

/** How to submit. */
export interface SubmitOptions {
  /** Compare-and-set: the sequence the (first) command must get, else `non_monotonic_sequence`. */
  readonly expectedSequence?: number
  /** Default `immediate`. */
  readonly durability?: Durability
}

/** An atomic batch under construction: commands are validated one after another, each seeing those before it. */
export interface TaskBatch {
  /** The state with everything under way, this batch included. */
  readonly view: TaskView
  /** Validates a command and takes it into the batch; raises its refusal. */
  submit<Type extends CommandType>(command: CommandOf<Type>): MutationOutcome<Type>
}

/** Told after events became durable and visible, in order, one call per submit or batch. */
export type CommitListener = (events: readonly TaskEvent[]) => void

/** The shape of the write side of the tasks room. */
export interface TaskMutations {
  submit<Type extends CommandType>(command: CommandOf<Type>, options?: SubmitOptions): Promise<MutationOutcome<Type>>
  submitBatch(commands: readonly TaskCommand[], options?: SubmitOptions): Promise<readonly MutationOutcome[]>
  /** Builds a batch in code; `build` runs during the call and what it throws refuses the whole batch. */
  transact<Result>(build: (batch: TaskBatch) => Result, options?: SubmitOptions): Promise<Result>
}
