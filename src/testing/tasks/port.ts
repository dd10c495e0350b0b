import type { MutationOutcome, TaskCommand, TaskProjection } from '../../tasks/public.js'
import type { Awaitable } from '../awaitable.js'
import type { Reported } from '../comparison.js'

/** Commands that are one move each. Composites do the same in one go: see {@link movesOf}. */
export type PlainCommand = Exclude<TaskCommand, { readonly type: 'attempt_begin' | 'attempt_end' }>

/** What the model reads, beside the commands that it submits. */
type TasksReads = Pick<
  TaskProjection,
  | 'latestSequence'
  | 'engine'
  | 'task'
  | 'run'
  | 'step'
  | 'wait'
  | 'dependencyGate'
  | 'taskByKey'
  | 'retryOf'
  | 'budget'
  | 'reservations'
  | 'ledger'
>

/** The interface of the authority: one way to change what must run, and what can be read of it. */
export interface TasksSystem extends TasksReads {
  submit(command: TaskCommand): Promise<MutationOutcome>
}

/** The members that read, whose answers may come at once or as promises, and may leave parts out. */
type Answers = {
  readonly [Name in keyof TasksReads]?: TasksReads[Name] extends (...given: infer Given) => infer Answer
    ? (...given: Given) => Awaitable<ReportedAnswer<Answer>>
    : Awaitable<Reported<TasksReads[Name]>>
}

type ReportedAnswer<Answer> = Answer extends string
  ? Answer
  : Answer extends Iterable<infer Row> & object
    ? Iterable<Reported<Row>>
    : Reported<Answer>

/**
 * What a system that is tested offers of {@link TasksSystem}: commands, and as much as there is to read, every answer at
 * once or as a promise. What it refuses is an error whose `code` is the one the authority would give.
 */
export interface TasksPort extends Answers {
  /** Takes a command or rejects; what it resolves with may name the place of the command in their order. */
  submit(command: TaskCommand): Awaitable<Reported<Pick<MutationOutcome, 'sequence'>> | void>
}
