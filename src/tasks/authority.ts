import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { InvalidInputError, isList } from '../base/errors.js'
import { deepFreeze } from '../base/freeze.js'
import type { JsonObject } from '../base/json.js'
import type { Logger } from '../base/logger.js'
import { guardedLogger, guardedObserver } from '../base/observers.js'
import { checkFunction, optionsSchema, textOf, wholeNumberSchema } from '../base/options.js'
import { silence } from '../base/promises.js'
import type { Lane } from '../lane/lane.js'
import type { LaneStream, Staged } from '../lane/types.js'
import type { CommandOf, CommandType, MutationOutcome, TaskCommand } from './commands.js'
import { decide, nextSequence } from './decide/decide.js'
import { TaskError } from './errors.js'
import type { TaskEvent } from './events.js'
import { evolve } from './evolve/evolve.js'
import type { CommitListener, SubmitOptions, TaskBatch, TaskMutations } from './mutations.js'
import { Draft } from './projection/draft.js'
import { TaskIndexes } from './projection/indexes.js'
import { KeyedView } from './projection/keyed-view.js'
import { CommittedProjection } from './projection/projection.js'
import { TaskTables } from './projection/tables.js'
import { captureTasks } from './snapshot/capture.js'
import { SnapshotLoader } from './snapshot/restore.js'
import type { TaskProjection, TaskView } from './view.js'
import { decodeEvent } from './wire/decode-event.js'
import { parseCommand } from './wire/parse-command.js'

const submitOptionsSchema = optionsSchema<SubmitOptions>({
  expectedSequence: v.optional(wholeNumberSchema(0)),
  durability: v.optional(v.picklist(['immediate', 'deferred'])),
})
const noOptions: SubmitOptions = {}

/** What an authority is built with. */
export interface TaskAuthorityOptions {
  readonly logger?: Logger
}

/**
 * The only way to change what must run: a command is validated, made durable, applied and told, in this order, through
 * the lane (spec mutation authority 4).
 *
 * Give it to the lane as the stream `tasks`, then {@link TaskAuthority.start} it. Commands are numbered without gaps;
 * a refused command takes no number and leaves log and projection unchanged.
 */
export class TaskAuthority implements LaneStream, TaskMutations {
  /** Name of its stream in the journal. */
  static readonly streamName = 'tasks'
  readonly name = TaskAuthority.streamName
  readonly #logger: Logger
  readonly #tables = new TaskTables()
  readonly #projection: CommittedProjection
  readonly #latest: TaskView
  readonly #listeners = new Set<CommitListener>()
  /** Commits that listeners have not been told of. */
  readonly #untold: (readonly TaskEvent[])[] = []
  #isTelling = false
  #loader: SnapshotLoader | undefined = new SnapshotLoader()
  #lane: Lane | undefined
  #isReplayed = false

  constructor({ logger }: TaskAuthorityOptions = {}) {
    this.#logger = guardedLogger(logger)
    const indexes = new TaskIndexes(this.#tables)
    this.#projection = new CommittedProjection(this.#tables, indexes)
    this.#latest = new KeyedView(this.#tables, 'latest')
  }

  /** What is committed, read-only: nothing shows here that a crash could take back. */
  get projection(): TaskProjection {
    return this.#projection
  }

  /**
   * Takes commands from now on; attaches itself to the lane unless its journal knew the stream already.
   * Raises `snapshot_incomplete` when the journal's snapshot ended early.
   */
  start(lane: Lane): void {
    this.#finishRestore()
    if (!this.#isReplayed) lane.attach(this)
    this.#lane = lane
  }

  /**
   * Submits one command. Rejects with `invalid_input` or the construction error of a value, with its refusal, or with
   * the lane's error; see {@link TaskMutations}.
   */
  submit<Type extends CommandType>(
    command: CommandOf<Type>,
    options: SubmitOptions = noOptions,
  ): Promise<MutationOutcome<Type>> {
    try {
      const parsed = parseCommand(command)
      return this.#run((batch) => batch.take(parsed), options)
    } catch (invalid) {
      return rejected(invalid)
    }
  }

  /** Submits commands as one atomic batch: each is validated after those before it; one refusal refuses all. */
  submitBatch(
    commands: readonly TaskCommand[],
    options: SubmitOptions = noOptions,
  ): Promise<readonly MutationOutcome[]> {
    try {
      if (!isList(commands)) {
        throw new InvalidInputError({ subject: 'commands', field: '$', reason: `not a list: ${textOf(commands)}` })
      }
      const parsed = commands.map((command) => parseCommand(command))
      return this.#run((batch) => parsed.map((command) => batch.take(command)), options)
    } catch (invalid) {
      return rejected(invalid)
    }
  }

  /** Builds an atomic batch in code, for commands that depend on the outcome of those before them. */
  transact<Result>(build: (batch: TaskBatch) => Result, options: SubmitOptions = noOptions): Promise<Result> {
    try {
      checkFunction('builder of a batch', build)
      return this.#run(build, options)
    } catch (invalid) {
      return rejected(invalid)
    }
  }

  /** Tells `listener` of every commit until the handle is disposed; the first thing it throws is logged, none is passed on. */
  onCommit(listener: CommitListener): Disposable {
    checkFunction('commit listener', listener)
    const guarded = guardedObserver(listener, this.#logger, 'a commit listener of the tasks room failed')
    this.#listeners.add(guarded)
    return { [Symbol.dispose]: () => void this.#listeners.delete(guarded) }
  }

  /** @internal Part of {@link LaneStream}. */
  restore(row: JsonObject): void {
    this.#isReplayed = true
    const loader = this.#loader
    if (loader === undefined) throw new TaskError('snapshot_incomplete', { reason: 'a row follows the events' })
    this.#directly((draft) => loader.take(draft, row))
  }

  /** @internal Part of {@link LaneStream}. Raises `invalid_input` or `replay_*`; nothing is changed then. */
  replay(stored: JsonObject): void {
    this.#isReplayed = true
    this.#finishRestore()
    const event = decodeEvent(stored)
    const expected = this.#projection.latestSequence + 1
    if (event.sequence > expected) {
      throw new TaskError('replay_sequence_gap', { sequence: event.sequence, expected })
    }
    this.#directly((draft) => evolve(draft, event))
  }

  /** @internal Part of {@link LaneStream}. */
  capture(): Iterable<JsonObject> {
    return captureTasks(this.#tables, this.#projection)
  }

  #finishRestore(): void {
    this.#loader?.finish()
    this.#loader = undefined
  }

  #directly(change: (draft: Draft) => void): void {
    const draft = new Draft(this.#tables, this.#latest)
    try {
      change(draft)
    } catch (refusal) {
      draft.discard()
      throw refusal
    }
    draft.commit()
  }

  #run<Result>(build: (batch: OpenBatch) => Result, options: SubmitOptions): Promise<Result> {
    const { expectedSequence, durability } =
      options === noOptions ? noOptions : decode(submitOptionsSchema, options, 'submit options')
    const lane = this.#lane
    if (lane === undefined) return rejected(new TaskError('authority_not_started', {}))
    const staging: { batch?: StagedBatch<Result> } = {}
    const settled = lane.submit(this, () => (staging.batch = this.#stage(build, expectedSequence)))
    const { batch } = staging
    if (batch === undefined) return silence(settled.catch(orNothingToDo<Result>))
    return durability === 'deferred' && !batch.isDiscarded ? Promise.resolve(batch.result) : settled
  }

  #stage<Result>(build: (batch: OpenBatch) => Result, expectedSequence: number | undefined): StagedBatch<Result> {
    nextSequence(this.#latest, expectedSequence)
    const draft = new Draft(this.#tables, this.#latest)
    const batch = new OpenBatch(draft)
    try {
      const result = build(batch)
      if (batch.events.length === 0) throw new NothingToDo(result)
      return new StagedBatch(draft, Object.freeze(batch.events), result, this.#publish)
    } catch (refusal) {
      draft.discard()
      throw refusal
    } finally {
      batch.close()
    }
  }

  readonly #publish: CommitListener = (events) => {
    this.#untold.push(events)
    // A listener that made this change: the others hear of the one before first.
    if (this.#isTelling) return
    this.#isTelling = true
    for (let next = this.#untold.shift(); next !== undefined; next = this.#untold.shift()) {
      for (const listener of this.#listeners) listener(next)
    }
    this.#isTelling = false
  }
}

/** A valid batch on its way through the lane. */
class StagedBatch<Result> implements Staged<Result> {
  readonly result: Result
  readonly facts: readonly JsonObject[]
  isDiscarded = false
  readonly #draft: Draft
  readonly #events: readonly TaskEvent[]
  readonly #tell: CommitListener

  constructor(draft: Draft, events: readonly TaskEvent[], result: Result, tell: CommitListener) {
    this.#draft = draft
    this.#events = events
    this.#tell = tell
    this.result = result
    this.facts = events as unknown as readonly JsonObject[]
  }

  commit(): Result {
    this.#draft.commit()
    return this.result
  }

  discard(): void {
    this.isDiscarded = true
    this.#draft.discard()
  }

  publish(): void {
    this.#tell(this.#events)
  }
}

/** A batch while its commands are being validated. */
class OpenBatch implements TaskBatch {
  readonly events: TaskEvent[] = []
  readonly #draft: Draft
  #isClosed = false

  constructor(draft: Draft) {
    this.#draft = draft
  }

  get view(): TaskView {
    return this.#draft.view
  }

  submit<Type extends CommandType>(command: CommandOf<Type>): MutationOutcome<Type> {
    return this.take(parseCommand(command))
  }

  take<Type extends CommandType>(command: CommandOf<Type>): MutationOutcome<Type> {
    if (this.#isClosed) throw new TaskError('batch_closed', {})
    const sequence = nextSequence(this.view)
    const { event, applied } = decide(this.view, command, sequence)
    // Listeners are given it, and rows share its parts.
    deepFreeze(event)
    evolve(this.#draft, event)
    this.events.push(event)
    return { sequence, applied }
  }

  close(): void {
    this.#isClosed = true
  }
}

/** Carries the result of a batch without commands past the lane, which still waits for what the result leaned on. */
class NothingToDo extends Error {
  readonly result: unknown

  constructor(result: unknown) {
    super('nothing to do')
    this.result = result
  }
}

function orNothingToDo<Result>(reason: unknown): Result {
  if (reason instanceof NothingToDo) return reason.result as Result
  throw reason
}

function rejected(reason: unknown): Promise<never> {
  return silence(Promise.reject(reason))
}
