import { createHash, randomUUID } from 'node:crypto'
import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { abortableSchema } from '../base/options.js'
import type {
  CursorConsumer,
  FailureOrigin,
  OperationId,
  OperationOutcome,
  OperationResult,
  OperationSpec,
  SessionId,
  TerminalAction,
} from '../../machines/index.js'
import type { CompletionCursors, OperationProgress, WaitedOutcome } from '../operations/index.js'
import { checkProgress, checkSource, checkSpec } from '../operations/admission.js'
import { outcomes } from '../operations/outcomes.js'
import type { LeaseOwner } from '../processes/index.js'
import { checkSize } from '../processes/scalars.js'
import { encodeValue } from '../work/values.js'
import { checkOutcomeSize, checkProgressSize } from './bounds.js'
import { insist, neverAborted, type Connection } from './connection.js'
import type { RestateOperation } from './held-operation.js'
import { sessionService, waitService } from './services.js'
import { closeSchema, outcomesSchema, type WorkRequest } from './session-wire.js'
import { claimedSchema, cursorsSchema, type Claim } from './wire.js'

/** The fencing token of a write. Without one, the caller writes as the owner of the session. */
export interface UnderClaim {
  /** The token of a claim. A write under an outdated one is refused with `lease_superseded`. */
  readonly fencingToken?: number
}

const nothing = v.unknown()

/**
 * The registry of a session on the engine, for hosts that drive life cycles themselves. It has the methods and refusals
 * of the registry within a single Node process, and `claim` for workers outside the engine. If the connection breaks, a
 * call is repeated with the same idempotency key until the engine was unreachable for `outageMs`.
 */
export class RestateOperations {
  readonly #id: SessionId
  readonly #connection: Connection

  constructor(id: SessionId, connection: Connection) {
    this.#id = id
    this.#connection = connection
  }

  /**
   * Adds an operation in status `provisioning` whose work is done outside, once, by its claimant. A `limit` overrides
   * that of the session. Rejects with `invalid_input`, `already_registered`, `parent_not_found`, `parent_ended`,
   * `tree_too_deep`, `max_concurrent_exceeded` and `owner_retired`.
   */
  async registerOperation(spec: OperationSpec, limit?: number): Promise<void> {
    const checked = checkSpec(spec)
    checkSource(checked)
    await this.#change('register', { spec: checked, ...(limit !== undefined && { limit }) })
  }

  /** @internal Adds an operation whose work a worker does. Resolves with its run. */
  async start(spec: OperationSpec, work: WorkRequest, limit: number | undefined): Promise<string> {
    const request = { spec, work, ...(limit !== undefined && { limit }) }
    const { invocationId } = await this.#change('register', request, v.object({ invocationId: v.string() }))
    return invocationId
  }

  /**
   * Claims an operation to work on it, and starts it if it has not been started. Rejects with `already_claimed` if it
   * is owner-bound and was already started, with `attempts_exhausted`, and with `invalid_transition` if it has ended.
   * For a rerunnable operation, the token of the previous claimant becomes invalid.
   */
  claim(id: OperationId, owner: LeaseOwner, step = 'work'): Promise<Claim> {
    const atMs = Math.trunc(this.#connection.clock.wallNow())
    return this.#change('claim', { id, owner, step, atMs, isOutside: true }, claimedSchema)
  }

  /** `provisioning` to `running`. */
  async provisioningSucceeded(id: OperationId): Promise<void> {
    await this.#change('advance', { id, action: 'start' })
  }

  /** `running` to `retiring`: asks it to wind down. */
  async requestRetire(id: OperationId): Promise<void> {
    await this.#change('advance', { id, action: 'retire_requested' })
  }

  /**
   * Counts a progress report and keeps it until the next. Rejects with `invalid_input`, `invalid_transition`,
   * `lease_superseded`.
   */
  async reportProgress(id: OperationId, progress: OperationProgress, claim: UnderClaim = {}): Promise<void> {
    const checked = checkProgress(progress)
    checkProgressSize(checked)
    await this.#change('progress', { id, ...checked, ...tokenOf(claim) })
  }

  /** Ends an operation that could not be provisioned. */
  provisioningFailed(id: OperationId, error: string): Promise<void> {
    return this.failOperation(id, error)
  }

  /** Ends an operation that is still being provisioned. */
  abortProvisioning(id: OperationId, reason: string | null = null): Promise<void> {
    return this.#end(id, 'abort', outcomes.aborted(reason))
  }

  /** Ends an operation with its result. */
  completeOperation(id: OperationId, result: OperationResult, claim?: UnderClaim): Promise<void> {
    return this.#end(id, 'complete', outcomes.completed(id, result), claim)
  }

  /** Ends an operation that failed. */
  failOperation(id: OperationId, error: string, failure?: FailureOrigin, claim?: UnderClaim): Promise<void> {
    return this.#end(id, 'fail', outcomes.failed(error, failure), claim)
  }

  /** Cancels an operation. When this resolves, the end is in the feed and its work is told to stop. */
  cancelOperation(id: OperationId, reason: string | null = null): Promise<void> {
    return this.#end(id, 'cancel', outcomes.cancelled(reason))
  }

  /** Ends an operation immediately, whatever it is doing. */
  terminateOperation(id: OperationId, reason: string): Promise<void> {
    return this.#end(id, 'terminate', outcomes.terminated(reason))
  }

  /** Ends an operation that has wound down. */
  markRetired(id: OperationId, claim?: UnderClaim): Promise<void> {
    return this.#end(id, 'retire_completed', outcomes.retired(), claim)
  }

  /**
   * Terminates all live operations, then refuses every later change with `owner_retired`. Reads and waits still work.
   */
  async retireOwner(reason = 'owner retired'): Promise<void> {
    await this.#change('close', decode(closeSchema, { reason }, 'close'))
  }

  /** Changes how many operations may run, from the next registration on. */
  async limitConcurrency(maxConcurrent: number): Promise<void> {
    await this.#change('limit', { maxConcurrent })
  }

  /**
   * Waits until all named operations have ended. Resolves with their outcomes in the order of the request. Rejects with
   * `duplicate_wait_operation`, with `not_found` or `no_longer_retained` for a missing id, and with the signal's
   * reason.
   */
  async waitAll(
    ids: readonly OperationId[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<readonly WaitedOutcome[]> {
    const { signal = neverAborted } = decode(abortableSchema, options, 'wait options')
    if (ids.length === 0) return []
    const request = { session: this.#id, ids }
    const { ingress, questions } = this.#connection
    const ended = await questions.ask(request, signal, (idempotencyKey) =>
      insist(this.#connection, signal, () =>
        ingress.call([waitService, 'all'], request, outcomesSchema, { signal, idempotencyKey }),
      ),
    )
    return ended.map((outcome, index) => ({ operationId: ids[index] as OperationId, outcome }))
  }

  /** The current state of one operation. `undefined` for an unknown id. */
  async snapshot(id: OperationId): Promise<RestateOperation | undefined> {
    const row = await this.#read('read', id)
    return (row ?? undefined) as RestateOperation | undefined
  }

  /** All operations that are kept, or only the live ones, by display name. Reads everything that the session holds. */
  async listOperations({ isLive = false }: { readonly isLive?: boolean } = {}): Promise<readonly RestateOperation[]> {
    return (await this.#read('list', { isLive })) as RestateOperation[]
  }

  /** Operations that have not ended. */
  async activeCount(): Promise<number> {
    return ((await this.#read('head', undefined)) as { readonly active: number }).active
  }

  /** The cursor of each consumer of the feed. */
  async completionCursors(): Promise<CompletionCursors> {
    return decode(cursorsSchema, await this.#read('cursors', undefined), 'cursors') as CompletionCursors
  }

  /** Moves a consumer forward and resolves with its cursor. A lower position changes nothing. */
  advanceCompletionCursor(consumer: CursorConsumer, cursor: number): Promise<number> {
    return this.#change('advanceCursor', { consumer, cursor }, v.number())
  }

  /** @internal */
  async signal(id: OperationId, name: string, payload: unknown, key: string): Promise<void> {
    const encoded = encodeValue(payload, `signal ${name}`)
    if (encoded !== undefined) checkSize(encoded, `signal ${name}`, 'payload')
    const request = { id, name, ...(encoded !== undefined && { payload: encoded }) }
    await this.#change('signal', request, nothing, idempotencyKeyOf(id, name, key))
  }

  async #end(
    id: OperationId,
    action: TerminalAction,
    outcome: OperationOutcome,
    claim: UnderClaim = {},
  ): Promise<void> {
    checkOutcomeSize(outcome)
    await this.#change('end', { id, action, outcome, ...tokenOf(claim) })
  }

  #read(handler: string, request: unknown): Promise<unknown> {
    return insist(this.#connection, neverAborted, () =>
      this.#connection.ingress.call([sessionService, this.#id, handler], request, nothing),
    )
  }

  /** Repeats the call with the same idempotency key after a broken connection. */
  #change<Answered = unknown>(
    handler: string,
    request: unknown,
    schema: v.GenericSchema<unknown, Answered> = nothing as never,
    idempotencyKey: string = randomUUID(),
  ): Promise<Answered> {
    return insist(this.#connection, neverAborted, () =>
      this.#connection.ingress.call([sessionService, this.#id, handler], request, schema, { idempotencyKey }),
    )
  }
}

function tokenOf({ fencingToken }: UnderClaim): UnderClaim {
  return fencingToken === undefined ? {} : { fencingToken }
}

/** The idempotency key of a signal. The engine keeps keys per object and accepts only what fits in a header. */
function idempotencyKeyOf(id: string, name: string, key: string): string {
  return createHash('sha256')
    .update(JSON.stringify([id, name, key]))
    .digest('hex')
}
