import { faultFields } from '../base/error-details.js'
import * as v from 'valibot'
import { createActor, fromPromise } from 'xstate'
import { feedAdvance } from '../../actors/feed-advance.js'
import { systemClock, type Clock } from '../base/clock.js'
import { decode } from '../base/decode.js'
import { messageOf } from '../base/errors.js'
import { followRoot, inspectOption, type Inspect } from '../base/inspection.js'
import type { Logger } from '../base/logger.js'
import { guardedLogger } from '../base/observers.js'
import { optionsSchema, portSchema } from '../base/options.js'
import { clockSchema, loggerSchema } from '../base/ports.js'
import { createDeferred } from '../base/promises.js'
import {
  idleWakeMachine,
  type FeedSurvey,
  type IdleWakeActor,
  type IdleWakeCursors,
  type IdleWakeEvent,
  type IdleWakeStop,
} from '../../machines/idle-wake.js'
import { authoritySchema, completionsAfter, type CompletionAuthority } from './completions.js'
import { inspectSchema } from './core.js'

/** The input that wakes an idle runtime (O-80). */
export interface ContinuationInput {
  readonly origin: 'system'
  readonly durability: 'derived'
  readonly visibleInTranscript: false
  readonly visibleToOperator: false
  readonly handling: 'steer'
  readonly reason: 'detached_background_op_completed'
  /**
   * Sequence of the last completion that it covers. A continuation that is repeated after a crash has the same number
   * or a higher one.
   */
  readonly throughSeq: number
}

/** The host runtime that the loop wakes. */
export interface IdleWakeHost {
  /** Whether a run may start now and no unfinished input is queued. If it throws, that counts as no. */
  isQuiescent(): boolean
  /** Queues the continuation. Returning false or throwing refuses it; it is offered again later. */
  inject(input: ContinuationInput): boolean | Promise<boolean>
  /**
   * Called after the cursors have moved; resolves when the queue is empty. For hosts that do not process their queue by
   * themselves.
   */
  processQueue?(): void | Promise<void>
  /** Whether this loop still owns the runtime; if not, the loop ends and moves no cursor. Default: it always does. */
  ownsRuntime?(): boolean
}

/** Options of {@link IdleWake}. */
export interface IdleWakeOptions {
  readonly operations: CompletionAuthority
  readonly host: IdleWakeHost
  readonly clock?: Clock
  readonly logger?: Logger
  readonly inspect?: Inspect
}

const hostSchema = portSchema<IdleWakeHost>(['isQuiescent', 'inject'], ['processQueue', 'ownsRuntime'])

const optionsOfWake = optionsSchema<IdleWakeOptions>({
  operations: authoritySchema,
  host: hostSchema,
  clock: v.optional(clockSchema),
  logger: v.optional(loggerSchema),
  inspect: v.optional(inspectSchema),
})

/**
 * Wakes an idle runtime when background work has ended, with one continuation for all completions since the last one.
 * Rows that the turn has already shown wake nothing (O-77, O-87, O-86).
 *
 * Delivery is at least once, because cursors become durable in the background. A host that must not run twice for the
 * same completions remembers `throughSeq`.
 */
export class IdleWake implements Disposable {
  /** The actor of the loop, for inspection. */
  readonly actor: IdleWakeActor
  readonly #stopped = createDeferred<IdleWakeStop>()

  /**
   * Starts the loop. Raises `invalid_input` for invalid options, and `internal` if the registry cannot say where the
   * loop stopped reading.
   */
  constructor(options: IdleWakeOptions) {
    const decoded = decode(optionsOfWake, options, 'idle wake options')
    const { operations, host, clock = systemClock, inspect } = decoded
    const logger = guardedLogger(decoded.logger)
    const machine = idleWakeMachine.provide({
      actors: {
        advance: feedAdvance(operations.completionFeed()),
        survey: fromPromise(async ({ input: { after } }) => survey(operations, after)),
        inject: fromPromise(async ({ input: { watermark } }) => host.inject(continuationThrough(watermark))),
        moveCursors: fromPromise(async ({ input }) => moveCursors(operations, input)),
        processQueue: fromPromise(async () => host.processQueue?.()),
      },
      guards: {
        ownershipIsLost: () => host.ownsRuntime?.() === false,
        // A failing host is not called again: the loop ends with the fault, which is reported to its owner.
        isQuiescent: () => host.isQuiescent(),
      },
      actions: {
        reportHold: ({ context: { hold } }, reason) => {
          if (hold?.warned.includes(reason) === true) return
          logger.warn({ reason }, 'a completion is waiting because the runtime could not be woken yet')
        },
        reportFailure: (_, { cause }) => logger.error({ ...faultFields(cause) }, 'the runtime could not be woken'),
      },
    })
    const input = {
      observed: operations.completionCursor('runtime_observed'),
      injected: operations.completionCursor('runtime_injected'),
    }
    this.actor = createActor(machine, { id: 'idle-wake', input, clock, ...inspectOption(inspect, logger) })
    followRoot(inspect, this.actor)
    const end = (stop: IdleWakeStop): void => {
      if (stop.reason !== 'asked') logger.error(fieldsOf(stop), 'idle wake has stopped')
      this.#stopped.resolve(stop)
    }
    this.actor.subscribe({
      complete: () => end(this.actor.getSnapshot().output ?? { reason: 'asked' }),
      error: (cause) => end({ reason: 'fault', cause }),
    })
    this.actor.start()
  }

  /** Resolves with the reason once the loop has ended. */
  get stopped(): Promise<IdleWakeStop> {
    return this.#stopped.promise
  }

  /** Tells the loop that the host has processed its queue, so that it looks at held-back completions at once. */
  queueDrained(): void {
    this.#send({ type: 'queue_drained' })
  }

  /**
   * Ends the loop and leaves no timer or waiter behind. Completions that it has not delivered stay visible to the next
   * loop.
   */
  [Symbol.dispose](): void {
    this.#send({ type: 'stop' })
  }

  #send(event: IdleWakeEvent): void {
    if (this.actor.getSnapshot().status === 'active') this.actor.send(event)
  }
}

function survey(operations: CompletionAuthority, after: number): FeedSurvey {
  // Completions that the turn has shown need no wake (O-86), even if retention has dropped them since.
  const seen = Math.max(after, operations.completionCursor('agent_applied'))
  const { wakes, watermark } = completionsAfter(operations, seen)
  return { watermark, candidates: wakes.map(({ seq }) => seq) }
}

function moveCursors(
  operations: CompletionAuthority,
  { injected, observed }: Partial<IdleWakeCursors>,
): IdleWakeCursors {
  const move = (consumer: 'runtime_injected' | 'runtime_observed', cursor: number | undefined): number =>
    cursor === undefined ? operations.completionCursor(consumer) : operations.advanceCompletionCursor(consumer, cursor)
  // The injected cursor moves first, because injected completions are never offered again, while merely observed ones
  // may be.
  return { injected: move('runtime_injected', injected), observed: move('runtime_observed', observed) }
}

function continuationThrough(throughSeq: number): ContinuationInput {
  return {
    origin: 'system',
    durability: 'derived',
    visibleInTranscript: false,
    visibleToOperator: false,
    handling: 'steer',
    reason: 'detached_background_op_completed',
    throughSeq,
  }
}

function fieldsOf(stop: IdleWakeStop): object {
  return 'cause' in stop ? { reason: stop.reason, cause: messageOf(stop.cause) } : stop
}
