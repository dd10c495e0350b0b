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

/** An atomic batch under construction: commands are validated one after another, each seeing those before it. */
export interface TaskBatch {
  /** The state with everything under way, this batch included. */
  readonly view: TaskView
  /** Validates a command and takes it into the batch; raises its refusal. */
  submit<Type extends CommandType>(command: CommandOf<Type>): MutationOutcome<Type>
}

/** What became durable and visible at once: the events of a submit or batch, and what they ended. */
export interface TaskCommit {
  readonly events: readonly TaskEvent[]
  /** Runs that can change no more, and tasks; each is named once in its life. */
  readonly ended: Ended
}

/** Told after events became durable and visible, in order, one call per submit or batch. */
export type CommitListener = (commit: TaskCommit) => void

/** The shape of the write side of the tasks room. */
export interface TaskMutations {
  submit<Type extends CommandType>(command: CommandOf<Type>, options?: SubmitOptions): Promise<MutationOutcome<Type>>
  submitBatch(commands: readonly TaskCommand[], options?: SubmitOptions): Promise<readonly MutationOutcome[]>
  /** Builds a batch in code; `build` runs during the call and what it throws refuses the whole batch. */
  transact<Result>(build: (batch: TaskBatch) => Result, options?: SubmitOptions): Promise<Result>
}

/** The write side as the room itself uses it. */
type OwnMutations = TaskMutations & { onCommit(listener: CommitListener): Disposable }

/** What an authority is built with. */
export interface TaskAuthorityOptions {
  /** How many ends of tasks the feed keeps. Default 10,000. */
  readonly feedCapacity?: number
  readonly logger?: Logger
}

const submitOptionsSchema = optionsSchema<SubmitOptions>({
  expectedSequence: v.optional(wholeNumberSchema(0)),
  durability: v.optional(v.picklist(['immediate', 'deferred'])),
})

/** How commands that a batch is given are taken: decoded, or as they are. */
type Take = (command: TaskCommand) => TaskCommand

/** From outside: a copy that nobody else can change. Raises `invalid_input`, or the construction error of a value. */
const decoded: Take = (command) => readable('command', () => taskCatalogue.parse(command))

/** From this room, which has decoded what it was given: only the rules of the values are checked. */
const asItIs: Take = (command) => {
  taskCatalogue.check(command)
  return command
}

/**
 * The only way to change what must run: a command is validated, made durable, applied and told, in this order, through
 * the lane (T-5, T-29).
 *
 * Give it to the lane as the stream `tasks`, then {@link TaskAuthority.start} it. Commands are numbered without gaps;
 * a refused command takes no number and leaves log and projection unchanged.
 */
export class TaskAuthority implements LaneStream, TaskMutations {
  /** Name of its stream in the journal. */
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
      submit: (command, options) => this.#run((batch) => submitTo(batch, asItIs, command), options),
      submitBatch: (commands, options) =>
        this.#run((batch) => commands.map((command) => submitTo(batch, asItIs, command)), options),
      transact: (build, options) => this.#run((batch) => build(taskBatch(batch, asItIs)), options),
      onCommit: (listener) => this.onCommit(listener),
    }
  }

  /** What is committed, read-only: nothing shows here that a crash could take back. */
  get projection(): TaskProjection {
    return this.#projection
  }

  /** What has ended, in order, under cursors: durable, numbered alike after every restart, the oldest dropped and told as a gap. */
  get feed(): Feed<TaskEnd> {
    return this.#tables.ends
  }

  /** @internal Nothing will end here any more: streams of the feed complete once they have told what there is. */
  closeFeed(): void {
    this.#tables.ends.close()
  }

  /** @internal The same for the room's own commands: their shape is not checked again. */
  get own(): OwnMutations {
    return this.#own
  }

  /**
   * Takes commands from now on; attaches itself to the lane unless its journal knew the stream already.
   * Raises `snapshot_incomplete` when the journal's snapshot ended early.
   */
  start(lane: Lane): void {
    this.#stream.start(lane)
  }

  /**
   * Submits one command. Rejects with `invalid_input` or the construction error of a value, with its refusal, or with
   * the lane's error; see {@link TaskMutations}.
   */
  submit<Type extends CommandType>(command: CommandOf<Type>, options?: SubmitOptions): Promise<MutationOutcome<Type>> {
    return attempt(() => {
      const parsed = decoded(command as TaskCommand)
      return this.#run((batch) => batch.take(parsed) as MutationOutcome<Type>, options)
    })
  }

  /** Submits commands as one atomic batch: each is validated after those before it; one refusal refuses all. */
  submitBatch(commands: readonly TaskCommand[], options?: SubmitOptions): Promise<readonly MutationOutcome[]> {
    return attempt(() => {
      if (!isList(commands)) {
        throw new InvalidInputError({ subject: 'commands', field: '$', reason: `not a list: ${textOf(commands)}` })
      }
      const parsed = commands.map((command) => decoded(command))
      return this.#run((batch) => parsed.map((command) => batch.take(command) as MutationOutcome), options)
    })
  }

  /** Builds an atomic batch in code, for commands that depend on the outcome of those before them. */
  transact<Result>(build: (batch: TaskBatch) => Result, options?: SubmitOptions): Promise<Result> {
    return attempt(() => {
      checkFunction('builder of a batch', build)
      return this.#run((batch) => build(taskBatch(batch, decoded)), options)
    })
  }

  /** Tells `listener` of every commit until the handle is disposed; the first thing it throws is logged, none is passed on. */
  onCommit(listener: CommitListener): Disposable {
    checkFunction('commit listener', listener)
    return this.#stream.onCommit(listener)
  }

  /** @internal Part of {@link LaneStream}. */
  restore(row: JsonObject): void {
    this.#stream.restore(row)
    this.#indexes.takeEnded()
  }

  /** @internal Part of {@link LaneStream}. Raises `invalid_input` or `replay_*`; nothing is changed then. */
  replay(stored: JsonObject): void {
    this.#stream.replay(stored)
    this.#indexes.takeEnded()
  }

  /** @internal Part of {@link LaneStream}. */
  capture(): Iterable<JsonObject> {
    return this.#stream.capture()
  }

  #run<Result>(
    build: (batch: Batch<TaskView, TaskCommand>) => Result,
    options: SubmitOptions | undefined,
  ): Promise<Result> {
    return this.#stream.transact(
      build,
      options === undefined ? undefined : decode(submitOptionsSchema, options, 'submit options'),
    )
  }
}

function taskBatch(batch: Batch<TaskView, TaskCommand>, take: Take): TaskBatch {
  return { view: batch.view, submit: (command) => submitTo(batch, take, command) }
}

function submitTo<Type extends CommandType>(
  batch: Batch<TaskView, TaskCommand>,
  take: Take,
  command: CommandOf<Type>,
): MutationOutcome<Type> {
  return batch.take(take(command as TaskCommand)) as MutationOutcome<Type>
}

/** What a door throws is what its promise rejects with. */
function attempt<Result>(run: () => Promise<Result>): Promise<Result> {
  try {
    return run()
  } catch (invalid) {
    return silence(Promise.reject(invalid))
  }
}
