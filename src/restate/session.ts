import { randomUUID } from 'node:crypto'
import * as v from 'valibot'
import { onAbort } from '../base/abort.js'
import { decode } from '../base/decode.js'
import { errorDetailsOf } from '../base/error-details.js'
import { InvalidInputError, StatewardError } from '../base/errors.js'
import { createUuidSource, type IdSource } from '../base/ids.js'
import { abortableSchema, optionsSchema, textOf, wholeNumberSchema } from '../base/options.js'
import { abortable, silence } from '../base/promises.js'
import type { OperationId, OperationOutcome, SessionId } from '../../machines/index.js'
import { OperationError, OperationFailed, type RunOptions, type RunRequest } from '../operations/index.js'
import { checkSource, checkSpec } from '../operations/admission.js'
import { decodeRun } from '../operations/run-request.js'
import { checkValue, decodeValue } from '../work/values.js'
import type { AttachTarget } from './attach.js'
import { neverAborted, type Connection } from './connection.js'
import { isOperationDefinition, type OperationDefinition } from './operation-definition.js'
import { placeOfRun, runKeyOf } from './keys.js'
import { operationService } from './services.js'
import { RestateFeed } from './session-feed.js'
import { RestateOperations } from './session-operations.js'
import { answerSchema, type OperationAnswer, type WorkRequest } from './session-wire.js'
import { takePathId } from './wire.js'

/** Options of running an operation on the engine: those of a single Node process, without what only works there. */
export interface RestateRunOptions
  extends Partial<RunRequest>,
    Pick<RunOptions, 'deadlineMs' | 'signal' | 'outlivesParent'> {
  /** The parent operation. When it ends in any way, this one ends too. */
  readonly parent?: OperationId | { readonly id: OperationId }
  /** How many operations may run at the same time, this one included. Overrides the limit of the session. */
  readonly limit?: number
}

/** Options for work given by name instead of by definition. */
export type RestateNamedRunOptions = RestateRunOptions & Pick<WorkRequest, 'disposition' | 'maxAttempts'>

const runFields = {
  kind: v.optional(v.unknown()),
  displayName: v.optional(v.unknown()),
  id: v.optional(v.unknown()),
  sourceLabel: v.optional(v.unknown()),
  operationSource: v.optional(v.unknown()),
  deadlineMs: v.optional(v.unknown()),
  signal: v.optional(v.unknown()),
  parent: v.optional(v.unknown()),
  outlivesParent: v.optional(v.unknown()),
  limit: v.optional(wholeNumberSchema(0)),
}
// What is only handed on is judged by the code of the operations room.
const runSchema = optionsSchema<RestateRunOptions>(runFields as never)
const namedRunSchema = optionsSchema<RestateNamedRunOptions>({
  ...runFields,
  disposition: v.picklist(['rerunnable', 'owner_bound']),
  maxAttempts: v.optional(wholeNumberSchema(1)),
} as never)

/** The target for waits for operations. */
export const operationTarget: AttachTarget<OperationAnswer> = {
  service: operationService,
  output: answerSchema,
  checked: (key) => key,
  named: placeOfRun,
  unknown: (key) => new OperationError('not_found', { id: placeOfRun(key).operationId }),
  // Nobody asks for a limit: operations are waited for under a signal.
  timedOut: (key) => new OperationError('not_found', { id: placeOfRun(key).operationId }),
}

/**
 * A handle on an operation on the engine, for its starter. You may ignore it: it never causes an unhandled rejection.
 */
export class RestateOperationHandle<Result = unknown> {
  readonly id: OperationId
  /** Identifies its run on the engine. */
  readonly invocationId: string
  readonly #session: RestateSession
  readonly #connection: Connection
  readonly #definition: Pick<OperationDefinition, 'name' | 'output'>

  /** @internal */
  constructor(
    id: OperationId,
    invocationId: string,
    session: RestateSession,
    connection: Connection,
    definition: Pick<OperationDefinition, 'name' | 'output'>,
  ) {
    this.id = id
    this.invocationId = invocationId
    this.#session = session
    this.#connection = connection
    this.#definition = definition
  }

  /**
   * Resolves with how it ended, as recorded in the feed. Rejects with `restate.attach_failed`,
   * `restate.answer_malformed`, `restate.paused` and `restate.unreachable`. These say nothing about the operation, so
   * ask again.
   */
  get outcome(): Promise<OperationOutcome> {
    return silence(this.#answer().then(({ outcome }) => outcome))
  }

  /**
   * Resolves with what the work returned, after a round trip through JSON, once the operation has completed. Rejects
   * with {@link OperationFailed} if it ended in another way, with the signal's reason, and like
   * {@link RestateOperationHandle.outcome}.
   */
  result(options: { readonly signal?: AbortSignal } = {}): Promise<Result> {
    return silence(this.#result(options))
  }

  /** Cancels the operation. When this resolves, the end is in the feed and its work is told to stop. */
  async cancel(reason: string | null = null): Promise<'cancelled' | 'already_ended'> {
    try {
      await this.#session.operations.cancelOperation(this.id, reason)
      return 'cancelled'
    } catch (refusal) {
      if (StatewardError.is(refusal, 'invalid_transition') || StatewardError.is(refusal, 'not_found'))
        return 'already_ended'
      throw refusal
    }
  }

  #answer(signal?: AbortSignal): Promise<OperationAnswer> {
    return this.#connection.operationAttach.awaitTerminal(
      runKeyOf({ sessionId: this.#session.id, operationId: this.id }),
      {
        isStarted: true,
        ...(signal !== undefined && { signal }),
      },
    )
  }

  async #result(options: { readonly signal?: AbortSignal }): Promise<Result> {
    const { signal } = decode(abortableSchema, options, 'result options')
    const { outcome, returned } = await this.#answer(signal)
    if (outcome.type !== 'completed') throw new OperationFailed(this.id, outcome)
    // A host may have completed the operation otherwise.
    if (returned === undefined) return outcome.result.content as Result
    const value = decodeValue(returned.value)
    const { name, output } = this.#definition
    return (output === undefined ? value : await checkValue(output, value, `output of ${name}`)) as Result
  }
}

/**
 * The operations of one owner on the engine, like a session within a single Node process: what is running, who waits
 * for it, and the order in which it ended. Refusals have the same codes. In addition, every call rejects with
 * `restate.unreachable` and `restate.call_failed` once the engine was unreachable for `outageMs`.
 */
export class RestateSession {
  readonly id: SessionId
  /** For hosts that drive life cycles themselves. */
  readonly operations: RestateOperations
  /** Completions in order, with cursors. */
  readonly feed: RestateFeed
  readonly #connection: Connection
  readonly #ids: IdSource

  constructor(id: string, connection: Connection) {
    this.id = takePathId(id, 'name of a session') as SessionId
    this.#ids = createUuidSource({ now: () => connection.clock.wallNow() })
    this.#connection = connection
    this.operations = new RestateOperations(this.id, connection)
    this.feed = new RestateFeed(this.id, connection)
  }

  /**
   * Starts an operation whose work is done by a worker: by its definition or the definition's name. Display name and
   * source label default to the name of the work. Rejects with `invalid_input`, `already_registered`,
   * `parent_not_found`, `parent_ended`, `tree_too_deep`, `max_concurrent_exceeded` and `owner_retired`, and with the
   * reason of a signal that has already aborted. In these cases nothing has started.
   *
   *     const docs = await session.run(fetchDocs, { url }, { deadlineMs: 30_000 })
   *     const pages = await docs.result()
   */
  async run<Input, Output>(
    work: OperationDefinition<Input, Output>,
    input: Input,
    options?: RestateRunOptions,
  ): Promise<RestateOperationHandle<Output>>
  async run(work: string, input: unknown, options: RestateNamedRunOptions): Promise<RestateOperationHandle>
  async run(
    work: OperationDefinition | string,
    input: unknown,
    options: RestateRunOptions | RestateNamedRunOptions = {},
  ): Promise<RestateOperationHandle> {
    const definition = isOperationDefinition(work) ? work : undefined
    if (definition === undefined && typeof work !== 'string') {
      const reason = `neither a definition nor the name of one: ${textOf(work)}`
      throw new InvalidInputError({ subject: 'work', field: '$', reason })
    }
    const { name, taken, rules } = asked(work, options)
    const { parent, limit, deadlineMs, signal, outlivesParent, ...request } = taken
    const parentId = typeof parent === 'object' ? parent.id : parent
    const decoded = decodeRun(
      this.id,
      this.#ids,
      { displayName: name, sourceLabel: name, ...request },
      {
        input,
        ...(parentId !== undefined && { parent: parentId }),
        ...(deadlineMs !== undefined && { deadlineMs }),
        ...(signal !== undefined && { signal }),
        ...(outlivesParent !== undefined && { outlivesParent }),
      },
    )
    const spec = checkSpec(decoded.spec)
    checkSource(spec)
    if (definition?.input !== undefined) await checkValue(definition.input, input, `input of ${name}`)
    signal?.throwIfAborted()
    const held: WorkRequest = { name, ...rules, ...(deadlineMs !== undefined && { deadlineMs: Math.ceil(deadlineMs) }) }
    const invocationId = await this.operations.start(spec, held, limit)
    const handle = new RestateOperationHandle(spec.id, invocationId, this, this.#connection, definition ?? { name })
    if (signal !== undefined) {
      const cancel = (): void => void silence(handle.cancel(reasonOf(signal)))
      const forget = onAbort(signal, cancel)
      // While the engine was asked.
      if (signal.aborted) cancel()
      silence(handle.outcome.finally(forget))
    }
    return handle
  }

  /**
   * Waits until all of these operations have ended and resolves with their results, in the order of the handles. Once
   * all have ended, rejects with {@link OperationFailed} of the first without a result. Also rejects with the signal's
   * reason. The engine does the waiting: it takes one connection for up to a thousand operations.
   */
  async all<const Handles extends readonly RestateOperationHandle[]>(
    handles: Handles,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<RestateResultsOf<Handles>> {
    const { signal = neverAborted } = decode(abortableSchema, options, 'wait options')
    await this.operations.waitAll([...new Set(handles.map(({ id }) => id))], { signal })
    const results: unknown[] = []
    for (const handle of handles) results.push(await abortable(handle.result(), signal))
    return results as RestateResultsOf<Handles>
  }

  /**
   * Resolves with how an operation of the session ended, now or later, whoever started it. Rejects with `not_found`
   * immediately if the session has no operation with this id, with the signal's reason, and like the wait of a handle.
   */
  async outcome(id: OperationId, { signal }: { readonly signal?: AbortSignal } = {}): Promise<OperationOutcome> {
    const row = await this.operations.snapshot(id)
    if (row === undefined) throw new OperationError('not_found', { id })
    if (row.outcome !== null) return row.outcome
    if (row.work === undefined) {
      const [waited] = await this.operations.waitAll([id], { signal: signal ?? neverAborted })
      if (waited !== undefined) return waited.outcome
    }
    const bounds = { isStarted: true, ...(signal !== undefined && { signal }) }
    return (
      await this.#connection.operationAttach.awaitTerminal(runKeyOf({ sessionId: this.id, operationId: id }), bounds)
    ).outcome
  }

  /**
   * Sends a signal to the work of an operation, which waits for it now or later. Under the same `key`, a repetition
   * within ten minutes is the same signal.
   */
  signal(id: OperationId, name: string, payload?: unknown, key: string = randomUUID()): Promise<void> {
    return this.operations.signal(id, name, payload, key)
  }

  /** Terminates all live operations and accepts no new ones. Reads and waits still work. */
  close(reason = 'owner retired'): Promise<void> {
    return this.operations.retireOwner(reason)
  }
}

/** The results of the operations of these handles. */
export type RestateResultsOf<Handles extends readonly RestateOperationHandle[]> = {
  -readonly [Index in keyof Handles]: Handles[Index] extends RestateOperationHandle<infer Result> ? Result : never
}

function asked(work: OperationDefinition | string, options: RestateRunOptions) {
  if (typeof work !== 'string')
    return { name: work.name, taken: decode(runSchema, options, 'run options'), rules: work.options }
  const { disposition, maxAttempts, ...taken } = decode(
    namedRunSchema,
    options as RestateNamedRunOptions,
    'run options',
  )
  return { name: work, taken, rules: { disposition, ...(maxAttempts !== undefined && { maxAttempts }) } }
}

/** Nobody would hear that it is too long. */
function reasonOf({ reason }: AbortSignal): string {
  return errorDetailsOf(reason).message
}
