import * as v from 'valibot'
import { decode, readable } from '../base/decode.js'
import { InvalidInputError, isList } from '../base/errors.js'
import type { Feed } from '../base/feed.js'
import type { JsonObject } from '../base/json.js'
import type { Logger } from '../base/logger.js'
import { checkFunction, optionsSchema, textOf, wholeNumberSchema } from '../base/options.js'
import { silence } from '../base/promises.js'
import type { Lane } from '../lane/lane.js'
import type { LaneStream } from '../lane/types.js'
import { EventStream, type Batch, type SubmitOptions } from '../state/stream.js'
import {
  taskCatalogue,
  type CommandOf,
  type CommandType,
  type MutationOutcome,
  type TaskCommand,
  type TaskEvent,
} from './catalogue.js'
import { TaskIndexes, type Ended } from './indexes.js'
import { TaskTables } from './state.js'
import type { TaskEnd } from './task-end.js'
import { TaskProjection, TaskView } from './view.js'

/**
 * An atomic batch under construction: commands are validated in sequence, and each sees the effects of those before it.
 */
export interface TaskBatch {
  /** The state including everything in flight and this batch. */
  readonly view: TaskView
  /** Validates a command and adds it to the batch; raises its refusal. */
  submit<Type extends CommandType>(command: CommandOf<Type>): MutationOutcome<Type>
}

/** What became durable and visible in one step: the events of one submit or batch, and what they ended. */
export interface TaskCommit {
  readonly events: readonly TaskEvent[]
  /** Tasks and runs that have ended; each appears in one commit only. */
  readonly ended: Ended
}

/** Called after events became durable and visible, in order, once per submit or batch. */
export type CommitListener = (commit: TaskCommit) => void

/** The write side of the tasks room. */
export interface TaskMutations {
  submit<Type extends CommandType>(command: CommandOf<Type>, options?: SubmitOptions): Promise<MutationOutcome<Type>>
  submitBatch(commands: readonly TaskCommand[], options?: SubmitOptions): Promise<readonly MutationOutcome[]>
  /** Builds a batch in code. `build` runs synchronously; if it throws, the whole batch is refused. */
  transact<Result>(build: (batch: TaskBatch) => Result, options?: SubmitOptions): Promise<Result>
}

/** The write side as the room itself uses it. */
type OwnMutations = TaskMutations & { onCommit(listener: CommitListener): Disposable }

/** Options of a {@link TaskAuthority}. */
export interface TaskAuthorityOptions {
  /** How many ends of tasks the feed keeps. Default 10,000. */
  readonly feedCapacity?: number
  readonly logger?: Logger
}

const submitOptionsSchema = optionsSchema<SubmitOptions>({
  expectedSequence: v.optional(wholeNumberSchema(0)),
  durability: v.optional(v.picklist(['immediate', 'deferred'])),
})

/** A batch under construction in the stream. */
type OpenBatch = Batch<TaskView, TaskCommand>

/**
 * For commands from outside: makes a copy that nobody else can change. Raises `invalid_input`, or the construction
 * error of a value.
 */
function decoded(command: TaskCommand): TaskCommand {
  return readable('command', () => taskCatalogue.parse(command))
}

/** For builders from outside, whose commands are decoded. */
function decoding(batch: OpenBatch): TaskBatch {
  return { view: batch.view, submit: (command) => batch.take(decoded(command as TaskCommand)) as never }
}

/** For commands of this room, whose input has been decoded: checks only the rules of the values. */
function asItIs(batch: OpenBatch): TaskBatch {
  return {
    view: batch.view,
    submit: (command) => {
      taskCatalogue.check(command as TaskCommand)
      return batch.take(command as TaskCommand) as never
    },
  }
}

/**
 * The only way to change tasks. Each command is validated, made durable through the lane, applied and reported to
 * listeners, in this order (T-5, T-29).
 *
 * Give it to the lane as the stream `tasks`, then call {@link TaskAuthority.start}. Commands are numbered without gaps;
 * a refused command takes no number and leaves the log and the projection unchanged.
 */
export class TaskAuthority implements LaneStream, TaskMutations {
  /** Name of the stream in the journal. */
  static readonly streamName = 'tasks'
  readonly name = TaskAuthority.streamName
  readonly #projection: TaskProjection
  readonly #own: OwnMutations
  readonly #tables: TaskTables
  readonly #indexes: TaskIndexes
  readonly #stream: EventStream<TaskTables, TaskView, TaskEvent, TaskCommand, TaskCommit>

  constructor({ logger, feedCapacity }: TaskAuthorityOptions = {}) {
    const tables = new TaskTables(feedCapacity, logger)
    this.#tables = tables
    const indexes = new TaskIndexes(tables)
    this.#indexes = indexes
    this.#projection = new TaskProjection(tables, indexes)
    this.#stream = new EventStream<TaskTables, TaskView, TaskEvent, TaskCommand, TaskCommit>({
      name: this.name,
      catalogue: taskCatalogue,
      tables,
      latest: new TaskView(tables, 'latest'),
      commitOf: (events) => ({ events, ended: indexes.takeEnded() }),
      ...(logger !== undefined && { logger }),
    })
    this.#own = {
      submit: (command, options) => this.#run((batch) => asItIs(batch).submit(command), options),
      submitBatch: (commands, options) =>
        this.#run((batch) => commands.map((command): MutationOutcome => asItIs(batch).submit(command)), options),
      transact: (build, options) => this.#run((batch) => build(asItIs(batch)), options),
      onCommit: (listener) => this.onCommit(listener),
    }
  }

  /** The committed state, read-only. It never shows anything that a crash could take back. */
  get projection(): TaskProjection {
    return this.#projection
  }

  /**
   * The ends of tasks, in order. They are durable and have the same numbers after every restart; the oldest are
   * dropped, and readers that missed them get a gap error.
   */
  get feed(): Feed<TaskEnd> {
    return this.#tables.ends
  }

  /** @internal Closes the feed: nothing will end any more. Streams complete after their last row. */
  closeFeed(): void {
    this.#tables.ends.close()
  }

  /** @internal The same methods for the room's own commands, without checking their shape again. */
  get own(): OwnMutations {
    return this.#own
  }

  /**
   * Accepts commands from now on. Attaches itself to the lane unless the journal already knew the stream. Raises
   * `snapshot_incomplete` when the journal's snapshot ended early.
   */
  start(lane: Lane): void {
    this.#stream.start(lane)
  }

  /**
   * Submits one command. Rejects with `invalid_input` or the construction error of a value, with the refusal, or with
   * the lane's error; see {@link TaskMutations}.
   */
  submit<Type extends CommandType>(command: CommandOf<Type>, options?: SubmitOptions): Promise<MutationOutcome<Type>> {
    return attempt(() => {
      const parsed = decoded(command as TaskCommand)
      return this.#run((batch) => batch.take(parsed) as MutationOutcome<Type>, options)
    })
  }

  /**
   * Submits commands as one atomic batch: each is validated after those before it, and one refusal refuses all of them.
   */
  submitBatch(commands: readonly TaskCommand[], options?: SubmitOptions): Promise<readonly MutationOutcome[]> {
    return attempt(() => {
      if (!isList(commands)) {
        throw new InvalidInputError({ subject: 'commands', field: '$', reason: `not a list: ${textOf(commands)}` })
      }
      const parsed = commands.map((command) => decoded(command))
      return this.#run((batch) => parsed.map((command) => batch.take(command) as MutationOutcome), options)
    })
  }

  /** Builds an atomic batch in code, for commands that depend on the outcome of earlier ones. */
  transact<Result>(build: (batch: TaskBatch) => Result, options?: SubmitOptions): Promise<Result> {
    return attempt(() => {
      checkFunction('builder of a batch', build)
      return this.#run((batch) => build(decoding(batch)), options)
    })
  }

  /**
   * Calls `listener` for every commit until the handle is disposed. The first error that it throws is logged; none
   * reaches the caller.
   */
  onCommit(listener: CommitListener): Disposable {
    checkFunction('commit listener', listener)
    return this.#stream.onCommit(listener)
  }

  /** @internal Part of {@link LaneStream}. */
  restore(row: JsonObject): void {
    this.#stream.restore(row)
    this.#indexes.takeEnded()
  }

  /** @internal Part of {@link LaneStream}. Raises `invalid_input` or `replay_*`, and then changes nothing. */
  replay(stored: JsonObject): void {
    this.#stream.replay(stored)
    this.#indexes.takeEnded()
  }

  /** @internal Part of {@link LaneStream}. */
  capture(): Iterable<JsonObject> {
    return this.#stream.capture()
  }

  #run<Result>(build: (batch: OpenBatch) => Result, options: SubmitOptions | undefined): Promise<Result> {
    return this.#stream.transact(
      build,
      options === undefined ? undefined : decode(submitOptionsSchema, options, 'submit options'),
    )
  }
}

/** Turns a synchronous throw into a rejection. */
function attempt<Result>(run: () => Promise<Result>): Promise<Result> {
  try {
    return run()
  } catch (invalid) {
    return silence(Promise.reject(invalid))
  }
}
