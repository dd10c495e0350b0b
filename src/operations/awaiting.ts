import * as v from 'valibot'
import { onAbort } from '../base/abort.js'
import { decode } from '../base/decode.js'
import { InvalidInputError, StatewardError } from '../base/errors.js'
import type { IdSource } from '../base/ids.js'
import { abortableSchema, checkText, optionsSchema, textOf, textSchema } from '../base/options.js'
import { silence } from '../base/promises.js'
import type {
  OperationId,
  OperationOutcome,
  TurnId,
  WaitAllSatisfied,
  WaitRequestId,
} from '../../machines/operation-vocabulary.js'
import { checkId, checkIds } from './admission.js'
import { internalError, OperationError, WatchError } from './errors.js'
import type { OperationsCore } from './core.js'
import type { OperationRecords } from './records.js'
import { readOutcome } from './operation-row.js'
import type { ActiveWait } from './wait.js'
import { WaitAll } from './wait-all.js'
import { Watcher, withoutWatcher, withWatcher } from './watchers.js'

/** Options of a wait. */
export interface WaitOptions {
  /** Gives up the wait when it aborts. */
  readonly signal?: AbortSignal
}

const noOptions: WaitOptions = {}

const obligationSchema = optionsSchema<WaitAllSatisfied>({
  waitRequestId: textSchema<WaitRequestId>(),
  turnId: textSchema<TurnId>(),
  operationIds: v.array(textSchema<OperationId>()),
})

/**
 * The waiters of a registry: watchers of single operations, and turns that wait for several. The methods are those of
 * {@link OperationRegistry}, which documents them. None of this is durable.
 */
export class Awaiting {
  readonly #core: OperationsCore
  readonly #records: OperationRecords
  readonly #ids: IdSource
  #isClosed = false

  constructor(core: OperationsCore, ids: IdSource) {
    this.#core = core
    this.#records = core.records
    this.#ids = ids
  }

  registerWatcher(id: OperationId, options: WaitOptions = noOptions): Promise<OperationOutcome> {
    this.#core.check()
    checkId(id)
    const { signal } = options === noOptions ? options : decode(abortableSchema, options, 'watch options')
    const row = this.#records.rows.get(id)
    if (row === undefined) throw new OperationError('not_found', { id })
    const outcome = readOutcome(id, row)
    if (outcome !== undefined) return Promise.resolve(outcome)
    if (signal?.aborted === true) return silence(Promise.reject(signal.reason))
    if (this.#isClosed) return silence(Promise.reject(new WatchError('channel_closed', { id })))
    const watcher = new Watcher()
    row.watchers = withWatcher(row.watchers, watcher)
    if (signal === undefined) return watcher.promise
    const forget = onAbort(signal, () => {
      row.watchers = withoutWatcher(row.watchers, watcher)
      watcher.reject(signal.reason)
    })
    return silence(watcher.promise.finally(forget))
  }

  waitAll(turnId: TurnId, operationIds: readonly OperationId[], options: WaitOptions = noOptions): WaitAll {
    const requestId = this.#ids.uuid() as WaitRequestId
    let signal: AbortSignal | undefined
    let wait: ActiveWait | undefined
    try {
      checkText('turn id', turnId)
      checkIds(operationIds)
      const members = Object.freeze([...operationIds])
      signal = decode(abortableSchema, options, 'wait options').signal
      if (signal?.aborted === true) return WaitAll.rejected(requestId, signal.reason)
      wait = this.#core.change(() => {
        this.#core.take({ type: 'wait_all.begin', requestId, turnId, operationIds: members })
        return this.#records.waits.get(requestId)
      })
    } catch (refusal) {
      this.#core.showRefused({ type: 'wait_all.begin' }, refusal)
      return WaitAll.rejected(requestId, refusal)
    }
    if (wait === undefined) return WaitAll.rejected(requestId, internalError('accepted wait without a barrier'))
    return new WaitAll(requestId, wait.result, signal, (reason) => this.#giveUp(requestId, reason))
  }

  outstandingObligations(): readonly WaitAllSatisfied[] {
    return this.#records.waits
      .satisfied()
      .map(({ request: { requestId, turnId, operationIds } }) => ({ waitRequestId: requestId, turnId, operationIds }))
  }

  acknowledgeObligation(obligation: WaitAllSatisfied): void {
    const { waitRequestId, turnId, operationIds } = decode(obligationSchema, obligation, 'obligation')
    const wait = this.#records.waits.get(waitRequestId)
    if (wait !== undefined && wait.isSatisfied) {
      if (turnId !== wait.request.turnId) refuseObligation('turnId', `not the turn that waited: ${textOf(turnId)}`)
      if (!wait.hasMembers(operationIds)) refuseObligation('operationIds', 'not the members of the wait')
    }
    if (!this.#records.waits.acknowledge(waitRequestId)) throw new OperationError('wait_not_active', { waitRequestId })
  }

  /** Rejects all present and future watches and waits, because no operation will end any more. */
  close(): void {
    this.#isClosed = true
    this.#records.abandonWaiters()
  }

  #giveUp(requestId: WaitRequestId, reason: unknown): void {
    if (!this.#records.hasActiveWait(requestId)) return
    // A waiter may give up even if the registry is poisoned or retired; the wait then ends without going through the
    // chart.
    if (this.#core.isPoisoned || this.#core.isRetired) return this.#records.cancelWait(requestId, reason)
    try {
      this.#core.take({ type: 'wait_all.cancel', requestId, reason })
    } catch (fault) {
      if (StatewardError.is(fault, 'reentrant_change')) queueMicrotask(() => this.#giveUp(requestId, reason))
      // The registry broke during the change, which has already rejected every waiter. The caller that aborted the
      // signal is not interested in the fault.
    }
  }
}

function refuseObligation(field: string, reason: string): never {
  throw new InvalidInputError({ subject: 'obligation', field, reason })
}
