import { faultFields } from '../base/error-details.js'
import { InvalidInputError } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import { textOf } from '../base/options.js'
import type { OperationEvent } from '../../machines/operation.js'
import type { OperationId } from '../../machines/operation-vocabulary.js'
import type { OperationsCore } from './core.js'
import type { OperationEnds } from './ends.js'
import { checkOutcome } from './outcomes.js'

/** Options of {@link ActorRequests}: how the registry carries out what an event asks for. */
export interface ActorRequestsOptions {
  readonly core: OperationsCore
  readonly ends: OperationEnds
  readonly start: (id: OperationId) => Promise<void>
  readonly retire: (id: OperationId) => Promise<void>
  /** Counts a progress report. The event has no content to check. */
  readonly countProgress: (id: OperationId) => Promise<void>
  readonly logger: Logger
}

/**
 * Events that code outside sends directly to the actor of an operation. Each goes through the lane like a call of the
 * registry. There is no caller to reject, so a refusal is logged and shown to inspectors.
 */
export class ActorRequests {
  readonly #options: ActorRequestsOptions

  constructor(options: ActorRequestsOptions) {
    this.#options = options
  }

  /** Takes an event for the operation. */
  take(id: OperationId, event: OperationEvent): void {
    const { core, logger } = this.#options
    this.#carryOut(id, event).catch((refusal: unknown) => {
      const { type } = event
      core.showRefused({ type, id }, refusal)
      logger.warn({ id, type, ...faultFields(refusal) }, 'an event sent to the actor of an operation was refused')
    })
  }

  async #carryOut(id: OperationId, event: OperationEvent): Promise<void> {
    const { ends, start, retire, countProgress } = this.#options
    const { type } = event
    switch (type) {
      case 'start':
        return start(id)
      case 'retire_requested':
        return retire(id)
      case 'progress_reported':
        return countProgress(id)
      case 'complete':
      case 'fail':
      case 'abort':
      case 'cancel':
      case 'retire_completed':
      case 'terminate':
        return ends.end(`operation.${type}`, id, () => checkOutcome(id, event.outcome))
      default: {
        // `peer_ready` needs a handle, which the chart's event cannot carry; no other event is an action.
        const reason = `not an event that can be sent to an operation: ${textOf(type)}`
        throw new InvalidInputError({ subject: 'operation event', field: 'type', reason })
      }
    }
  }
}
