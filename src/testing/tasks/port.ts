import type { MutationOutcome, TaskCommand, TaskProjection } from '../../tasks/public.js'
import type { Awaitable } from '../awaitable.js'
import type { Reported } from '../comparison.js'

/** Commands that are a single move. Composites make several moves at once: see {@link movesOf}. */
export type PlainCommand = Exclude<TaskCommand, { readonly type: 'attempt_begin' | 'attempt_end' }>

/** The reads that the model compares. */
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

/** The interface of the task authority: one method that changes it, and the reads. */
export interface TasksSystem extends TasksReads {
  submit(command: TaskCommand): Promise<MutationOutcome>
}

/** The reads, with answers given at once or as promises; parts may be left out. */
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
 * The part of {@link TasksSystem} that a system under test offers: commands, and any of the reads, with every answer
 * given at once or as a promise. A refusal is an error with the `code` that the authority would give.
 */
export interface TasksPort extends Answers {
  /** Carries out a command or rejects. The resolved value may contain the sequence of the command. */
  submit(command: TaskCommand): Awaitable<Reported<Pick<MutationOutcome, 'sequence'>> | void>
}
