import * as v from 'valibot'
import { faultFields } from '../base/error-details.js'
import { systemClock, type Clock } from '../base/clock.js'
import { StatewardError } from '../base/errors.js'
import { silentLogger, type Logger } from '../base/logger.js'
import { decode } from '../base/decode.js'
import { guardedLogger } from '../base/observers.js'
import { functionSchema, optionsSchema, portSchema, wholeNumberSchema } from '../base/options.js'
import { clockSchema, loggerSchema } from '../base/ports.js'
import { silence } from '../base/promises.js'
import type { AppendResult, ProcessEvent } from './event.js'
import { isLifecycleEventType } from './event-type.js'
import { defaultSinkTimeoutMs, SinkFeeder, sinkSchema, type ProcessEventSink, type SinkCounts } from './event-sink.js'
import { ProcessHub } from './hub.js'
import type { ProcessLease } from './lease.js'
import type { ProcessRecord } from './record.js'
import type { ProcessRegistration } from './registration.js'
import type { ProcessId } from './scalars.js'
import type { CompletionOutcome, ProcessStore } from './store.js'

/** A method of a store. */
export type StoreMethod = Exclude<
  {
    [Key in keyof ProcessStore]-?: ProcessStore[Key] extends (...args: never) => unknown ? Key : never
  }[keyof ProcessStore],
  'durabilityTier' | 'isHolderDead'
>

/** What a successful call means for watchers. */
export interface MethodEffect {
  /** The argument that identifies the process whose waiters are woken. */
  readonly bumps?: 'process' | 'registration' | 'lease'
  /** `event`: the sink receives the appended event. `lifecycle`: it receives the events written with it, if enabled. */
  readonly emits?: 'event' | 'lifecycle'
}

const quiet: MethodEffect = {}
const bumps: MethodEffect = { bumps: 'process' }
const transition: MethodEffect = { bumps: 'process', emits: 'lifecycle' }

/** The effect of each store method for watchers (P-140). A method missing here is a compile error. */
export const methodEffects: Readonly<Record<StoreMethod, MethodEffect>> = {
  registerProcess: { bumps: 'registration' },
  setExternalRef: transition,
  appendEvent: { bumps: 'process', emits: 'event' },
  completeProcess: transition,
  completeWithLease: { bumps: 'lease', emits: 'lifecycle' },
  recordFirstStarted: transition,
  claimAndStart: transition,
  recordStep: { bumps: 'lease' },
  recordAdoption: { bumps: 'lease', emits: 'lifecycle' },
  requestAbandon: transition,
  setWait: transition,
  clearWait: transition,
  ackWake: bumps,
  grantHandle: quiet,
  revokeHandle: quiet,
  transferHandleGrants: quiet,
  deleteSessionProcessState: quiet,
  claimLease: quiet,
  reclaimLease: quiet,
  renewLease: quiet,
  renewLeases: quiet,
  completeLease: quiet,
  pruneTerminal: quiet,
  compactTombstones: quiet,
  listHandleGrants: quiet,
  listLiveHandleGrants: quiet,
  hasHandleGrant: quiet,
  handleGrantsForProcess: quiet,
  eventsAfter: quiet,
  firstEventAfter: quiet,
  countEventsThrough: quiet,
  recentEvents: quiet,
  recordedSteps: quiet,
  wakeEventsAfter: quiet,
  pendingWakes: quiet,
  getProcess: quiet,
  getTerminal: quiet,
  listProcesses: quiet,
  listNonTerminal: quiet,
  listWork: quiet,
  nextWorkAtMs: quiet,
  processesChangedSince: quiet,
  getLease: quiet,
}

/** The methods of the store interface, including `durabilityTier` and `isHolderDead`. */
export const storeMethods: readonly (keyof ProcessStore)[] = [
  ...(Object.keys(methodEffects) as StoreMethod[]),
  'durabilityTier',
  'isHolderDead',
]

/** Options of {@link watchStore}. */
export interface WatchOptions {
  readonly sink?: ProcessEventSink
  /** Milliseconds that an append waits for the sink. Default 1,000. */
  readonly sinkTimeoutMs?: number
  /** If true, the sink also receives ends and lifecycle events. Default false: wait for ends instead. */
  readonly emitLifecycle?: boolean
  /** Called for each end written through the wrapper, with the record if the call returned it. Must not throw. */
  readonly onEnd?: (processId: ProcessId, record: ProcessRecord | undefined) => void
  /** Called after a write that may wake a session. Must not throw. */
  readonly onWake?: () => void
  readonly clock?: Clock
  readonly logger?: Logger
}

const watchOptionsSchema = optionsSchema<WatchOptions>({
  sink: v.optional(sinkSchema),
  sinkTimeoutMs: v.optional(wholeNumberSchema(0)),
  emitLifecycle: v.optional(v.boolean()),
  onEnd: v.optional(functionSchema<NonNullable<WatchOptions['onEnd']>>()),
  onWake: v.optional(functionSchema<() => void>()),
  clock: v.optional(clockSchema),
  logger: v.optional(loggerSchema),
})

/** Accepts a {@link ProcessStore}. */
export const storeSchema = portSchema<ProcessStore>(storeMethods)

/** A watched store. */
export interface Watched {
  /** The wrapped store. Its changes are reported. */
  readonly store: ProcessStore
  readonly hub: ProcessHub
  /** Counts of what the sink received. Zeros without a sink. */
  readonly sinkCounts: () => SinkCounts
}

type Call = (...args: readonly unknown[]) => Promise<unknown>

/**
 * Wraps a store so that waiters notice every change and a sink receives every appended event.
 *
 * Each call is passed on unchanged, with its result or error. Only after it has succeeded is the hub notified, then the
 * sink, in the order in which the events of a process were appended. A store that is the sole writer already has a hub.
 * Another store gets a new one, which does not notice writes made through another wrapper. Raises `invalid_input`.
 */
export function watchStore(inner: ProcessStore, options: WatchOptions = {}): Watched {
  decode(storeSchema, inner, 'process store')
  decode(watchOptionsSchema, options, 'options of a watched store')
  const hub = inner.hub ?? new ProcessHub()
  const watcher = new Watcher(inner, hub, options)
  const methods = Object.entries(methodEffects).map(([name, effect]) => {
    // Each method has the same signature as that of the inner store.
    const call = (inner[name as StoreMethod] as Call).bind(inner)
    return [name, watcher.wrap(call, effect)] as const
  })
  const store = {
    name: inner.name,
    writers: inner.writers,
    isHolderDead: inner.isHolderDead,
    ...(inner.hub !== undefined && { hub: inner.hub }),
    durabilityTier: () => inner.durabilityTier(),
    ...Object.fromEntries(methods),
  } as ProcessStore
  return { store: Object.freeze(store), hub, sinkCounts: () => watcher.counts }
}

const noCounts: SinkCounts = Object.freeze({ emitted: 0, failed: 0, dropped: 0 })

/** Notifies hub and sink of successful calls. */
class Watcher {
  readonly #store: ProcessStore
  readonly #hub: ProcessHub
  readonly #feeder: SinkFeeder | undefined
  readonly #emitsLifecycle: boolean
  readonly #onEnd: WatchOptions['onEnd']
  readonly #onWake: (() => void) | undefined
  readonly #logger: Logger
  /** The last write per process whose events are being sent to the sink. Later ones queue behind it. */
  readonly #last = new Map<ProcessId, Promise<unknown>>()

  constructor(store: ProcessStore, hub: ProcessHub, options: WatchOptions) {
    const { sink, sinkTimeoutMs: timeoutMs = defaultSinkTimeoutMs } = options
    const { clock = systemClock, logger = silentLogger, emitLifecycle = false, onWake, onEnd } = options
    this.#store = store
    this.#hub = hub
    this.#feeder = sink && new SinkFeeder({ sink, clock, logger, timeoutMs })
    this.#emitsLifecycle = emitLifecycle
    this.#onEnd = onEnd
    this.#onWake = onWake
    this.#logger = guardedLogger(logger)
  }

  get counts(): SinkCounts {
    return this.#feeder?.counts ?? noCounts
  }

  wrap(call: Call, { bumps: from, emits }: MethodEffect): Call {
    if (from === undefined) return call
    const bumping: Call = async (...args) => {
      let result: unknown
      try {
        result = await call(...args)
      } catch (refusal) {
        // The only refusal that also writes: the process has ended.
        if (StatewardError.is(refusal, 'process.attempts_exhausted')) this.#gaveUp(processIdOf(from, args[0]))
        throw refusal
      }
      this.#hub.notify(processIdOf(from, args[0]))
      if (mayWake(result)) this.#onWake?.()
      if (this.#onEnd !== undefined) this.#tellEnd(processIdOf(from, args[0]), result)
      return result
    }
    const feeder = this.#feeder
    if (feeder === undefined || emits === undefined) return bumping
    if (emits === 'event') {
      return (...args) =>
        this.#inOrder(processIdOf(from, args[0]), async () => {
          const result = (await bumping(...args)) as AppendResult
          if (!result.replayed && this.#mayEmit(result.event)) await feeder.feed(result.event)
          return result
        })
    }
    if (!this.#emitsLifecycle) return bumping
    return (...args) => {
      const processId = processIdOf(from, args[0])
      return this.#inOrder(processId, async () => {
        const last = await this.#lastOf(processId)
        const result = await bumping(...args)
        if (last !== undefined) await this.#feedAfter(processId, last, feeder)
        return result
      })
    }
  }

  /**
   * The sequence of its last event. `undefined` if it cannot be read; an error of the store then shows in the call
   * itself, if at all.
   */
  async #lastOf(processId: ProcessId): Promise<number | undefined> {
    try {
      const [last] = await this.#store.recentEvents(processId, 1)
      return last?.sequence ?? 0
    } catch {
      return undefined
    }
  }

  /** Sends the sink what a call has written. If that cannot be read, the call has still succeeded. */
  async #feedAfter(processId: ProcessId, sequence: number, feeder: SinkFeeder): Promise<void> {
    try {
      for (const event of await this.#store.eventsAfter(processId, sequence)) {
        if (isTransition(event)) await feeder.feed(event)
      }
    } catch (failure) {
      this.#logger.warn({ processId, ...faultFields(failure) }, 'events could not be read for the sink and are skipped')
    }
  }

  #gaveUp(processId: ProcessId): void {
    this.#hub.notify(processId)
    this.#onWake?.()
    this.#onEnd?.(processId, undefined)
  }

  #tellEnd(processId: ProcessId, result: unknown): void {
    const { outcome, record, event, replayed } = (result ?? {}) as Partial<CompletionOutcome & AppendResult>
    const isEnd = outcome === 'committed' || (event?.semantics.terminal !== undefined && replayed === false)
    if (isEnd) this.#onEnd?.(processId, record)
  }

  /** By default, the sink does not receive ends: they are learned by waiting. */
  #mayEmit({ semantics }: ProcessEvent): boolean {
    return this.#emitsLifecycle || semantics.terminal === undefined
  }

  /** Serializes the writes of a process, so that their events are emitted in the order of the log. */
  #inOrder<Result>(processId: ProcessId, write: () => Promise<Result>): Promise<Result> {
    const before = this.#last.get(processId) ?? Promise.resolve()
    const written = before.then(write, write)
    const done = silence(written).finally(() => {
      if (this.#last.get(processId) === done) this.#last.delete(processId)
    })
    this.#last.set(processId, silence(done))
    return written
  }
}

/** Whether a call may have written a wake: an event with one, or a change of a process with a wake target. */
function mayWake(result: unknown): boolean {
  const { wakeDelivery, record } = (result ?? {}) as Partial<AppendResult & CompletionOutcome>
  return wakeDelivery !== undefined || record?.wakeTarget !== undefined
}

/** Whether a lifecycle method has written the event, and it is public. */
function isTransition({ eventType, semantics }: ProcessEvent): boolean {
  return semantics.terminal !== undefined || (isLifecycleEventType(eventType) && eventType !== 'process.step')
}

/** The process that a call has changed. Its first argument is valid, because the call has succeeded. */
function processIdOf(from: NonNullable<MethodEffect['bumps']>, argument: unknown): ProcessId {
  switch (from) {
    case 'process':
      return argument as ProcessId
    case 'registration':
      return (argument as ProcessRegistration).id
    case 'lease':
      return (argument as ProcessLease | undefined)?.processId ?? ''
  }
}
