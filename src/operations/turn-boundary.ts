import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { deepFreeze } from '../base/freeze.js'
import { silentLogger, type Logger } from '../base/logger.js'
import { createObserverGuard, type ObserverGuard } from '../base/observers.js'
import { functionSchema, optionsSchema } from '../base/options.js'
import { loggerSchema } from '../base/ports.js'
import type { OperationId, OperationOutcome } from '../../machines/operation-vocabulary.js'
import { authoritySchema, completionsAfter, type CompletionAuthority } from './completions.js'
import type { CompletionEntry } from './types.js'

/** What the model is told about one completion. */
export interface BackgroundNotice {
  /** Position in the completion order; the same if a notice is delivered twice. */
  readonly seq: number
  readonly operationId: OperationId
  readonly displayName: string
  /** The type of the outcome. */
  readonly status: OperationOutcome['type']
  /** The operation's own id, unless `enrich` returned another. */
  readonly jobId: string
  readonly detail: string
}

/** What the host knows about a completion beyond its row. `busy` means: ask again later. */
export type Enrichment =
  | { readonly answer: 'found'; readonly jobId: string; readonly detail: string }
  | { readonly answer: 'missing' }
  | { readonly answer: 'busy' }

/** The result of a delivery. */
export type BoundaryDelivery =
  | { readonly type: 'delivered'; readonly notices: readonly BackgroundNotice[] }
  /** Nothing was shown and no cursor moved, because the enrichment of this operation is busy. */
  | { readonly type: 'deferred'; readonly operationId: OperationId }

/** Options of {@link TurnBoundary}. */
export interface TurnBoundaryOptions {
  readonly operations: CompletionAuthority
  /** Replaces the earlier background notices with these, in one edit. */
  readonly edit: (notices: readonly BackgroundNotice[]) => void | Promise<void>
  readonly enrich?: (entry: CompletionEntry) => Enrichment | Promise<Enrichment>
  /** Called once per notice, after the cursor has moved; errors are logged. */
  readonly onDelivered?: (notice: BackgroundNotice) => void
  readonly logger?: Logger
}

const optionsOfBoundary = optionsSchema<TurnBoundaryOptions>({
  operations: authoritySchema,
  edit: functionSchema<TurnBoundaryOptions['edit']>(),
  enrich: v.optional(functionSchema<NonNullable<TurnBoundaryOptions['enrich']>>()),
  onDelivered: v.optional(functionSchema<NonNullable<TurnBoundaryOptions['onDelivered']>>()),
  logger: v.optional(loggerSchema),
})

/**
 * Shows a turn what has completed in the background since the last delivery (O-76).
 *
 * Delivery is at least once: after a failed edit, or a crash before the cursor was durable, the same notices come
 * again. An edit replaces earlier notices, so repeating one does no harm.
 */
export class TurnBoundary {
  readonly #options: TurnBoundaryOptions
  readonly #guard: ObserverGuard
  #cursor: number
  #delivery: Promise<BoundaryDelivery> | undefined

  /**
   * Raises `invalid_input` for invalid options, and `internal` if the registry cannot say where the turn stopped
   * reading.
   */
  constructor(options: TurnBoundaryOptions) {
    this.#options = decode(optionsOfBoundary, options, 'turn boundary options')
    const { operations, logger = silentLogger } = this.#options
    this.#guard = createObserverGuard(logger, 'an observer of a turn boundary threw')
    this.#cursor = operations.completionCursor('agent_applied')
  }

  /**
   * Delivers new completions: first the edit, then the cursor, then the events. Calls during a delivery share its
   * result.
   *
   * Rejects with what `edit` or `enrich` threw, with `feed_gap` if completions were dropped before they were read, and
   * with `internal`; the cursor has then not moved. To continue after a gap, look at the operations themselves and
   * advance `agent_applied` to the gap's `droppedThrough`.
   */
  deliver(): Promise<BoundaryDelivery> {
    this.#delivery ??= this.#deliver().finally(() => {
      this.#delivery = undefined
    })
    return this.#delivery
  }

  async #deliver(): Promise<BoundaryDelivery> {
    const { operations, edit, onDelivered } = this.#options
    this.#cursor = Math.max(this.#cursor, operations.completionCursor('agent_applied'))
    const { wakes, watermark } = completionsAfter(operations, this.#cursor)
    const notices: BackgroundNotice[] = []
    for (const entry of wakes) {
      const notice = await this.#noticeOf(entry)
      if (notice === undefined) return { type: 'deferred', operationId: entry.operationId }
      notices.push(notice)
    }
    deepFreeze(notices)
    if (notices.length > 0) await edit(notices)
    if (watermark > this.#cursor) this.#cursor = operations.advanceCompletionCursor('agent_applied', watermark)
    for (const notice of notices) this.#guard(() => onDelivered?.(notice))
    return { type: 'delivered', notices }
  }

  /** `undefined` while the enrichment is busy. */
  async #noticeOf(entry: CompletionEntry): Promise<BackgroundNotice | undefined> {
    const { seq, operationId, displayName, outcome } = entry
    const enrichment = (await this.#options.enrich?.(entry)) ?? { answer: 'missing' }
    if (enrichment.answer === 'busy') return undefined
    const { jobId, detail } = enrichment.answer === 'found' ? enrichment : { jobId: operationId, detail: '' }
    return { seq, operationId, displayName, status: outcome.type, jobId, detail }
  }
}
