import { faultFields } from '../base/error-details.js'
import { systemClock, type Clock } from '../base/clock.js'
import { StatewardError } from '../base/errors.js'
import { silentLogger, type Logger } from '../base/logger.js'
import { guardedLogger } from '../base/observers.js'
import { silence } from '../base/promises.js'
import type { AppendResult, ProcessEvent } from './event.js'
import { isLifecycleEventType } from './event-type.js'
import { defaultSinkTimeoutMs, SinkFeeder, type ProcessEventSink, type SinkCounts } from './event-sink.js'
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

/** What watchers learn of a call that succeeded. */
export interface MethodEffect {
  /** The argument that names the process whose waiters are woken. */
  readonly bumps?: 'process' | 'registration' | 'lease'
  /** `event`: the sink is given the appended event; `lifecycle`: the events written with it, where that was asked for. */
  readonly emits?: 'event' | 'lifecycle'
}

const quiet: MethodEffect = {}
const bumps: MethodEffect = { bumps: 'process' }
const transition: MethodEffect = { bumps: 'process', emits: 'lifecycle' }

/** What follows for watchers from each method of a store (P-140): one that is not named here does not compile. */
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

/** The methods of the port, `durabilityTier` and `isHolderDead` among them. */
export const storeMethods: readonly (keyof ProcessStore)[] = [
  ...(Object.keys(methodEffects) as StoreMethod[]),
  'durabilityTier',
  'isHolderDead',
]

/** How a store is watched. */
export interface WatchOptions {
  readonly sink?: ProcessEventSink
  /** Milliseconds that an append waits for the sink; default 1000. */
  readonly sinkTimeoutMs?: number
  /** True: the sink is also given ends and lifecycle events. Default false: ends are learned by waiting for them. */
  readonly emitLifecycle?: boolean
  /** Told of each end that was written through it, with the record where the call gives it. Must not throw. */
  readonly onEnd?: (processId: ProcessId, record: ProcessRecord | undefined) => void
  /** Told when something was written that may wake a session. Must not throw. */
  readonly onWake?: () => void
  readonly clock?: Clock
  readonly logger?: Logger
}

/** A watched store. */
export interface Watched {
  /** The same store, whose changes are told of. */
  readonly store: ProcessStore
  readonly hub: ProcessHub
  /** What the sink was given; zeros without one. */
  readonly sinkCounts: () => SinkCounts
}

type Call = (...args: readonly unknown[]) => Promise<unknown>

/**
 * Wraps a store so that waiters hear of every change and a sink is given every appended event.
 *
 * Each call is handed on as it is, result and error untouched. Only after it has succeeded is the hub told, and then the
 * sink, in the order in which the events of a process were appended. A store that alone writes has its hub already; another
 * gets a new one, which does not hear of what is written through another wrapper.
 */
export function watch(inner: ProcessStore, options: WatchOptions = {}): Watched {
  const hub = inner.hub ?? new ProcessHub()
  const watcher = new Watcher(inner, hub, options)
  const methods = Object.entries(methodEffects).map(([name, effect]) => {
    // The shape of each method is that of the inner store, which it is handed on to.
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

/** Tells hub and sink of calls that have succeeded. */
class Watcher {
  readonly #store: ProcessStore
  readonly #hub: ProcessHub
  readonly #feeder: SinkFeeder | undefined
  readonly #emitsLifecycle: boolean
  readonly #onEnd: WatchOptions['onEnd']
  readonly #onWake: (() => void) | undefined
  readonly #logger: Logger
  /** Per process, the last write whose events are on their way to the sink; later ones queue behind it. */
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
        // The one refusal that comes with a change: the process has ended.
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

  /** The sequence of its last event; `undefined` when that cannot be told: then the call itself says why, or nobody does. */
  async #lastOf(processId: ProcessId): Promise<number | undefined> {
    try {
      const [last] = await this.#store.recentEvents(processId, 1)
      return last?.sequence ?? 0
    } catch {
      return undefined
    }
  }

  /** Feeds what a call has written. That it cannot be read says nothing about the call, which has succeeded. */
  async #feedAfter(processId: ProcessId, sequence: number, feeder: SinkFeeder): Promise<void> {
    try {
      for (const event of await this.#store.eventsAfter(processId, sequence)) {
        if (isTransition(event)) await feeder.feed(event)
      }
    } catch (failure) {
      this.#logger.warn(
        { processId, ...faultFields(failure) },
        'events could not be read for the sink, and are left out',
      )
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

  /** Ends are learned by waiting for them; the sink gets them only where that was asked for. */
  #mayEmit({ semantics }: ProcessEvent): boolean {
    return this.#emitsLifecycle || semantics.terminal === undefined
  }

  /** Runs writes of one process one after another, so that their events are emitted in the order of the log. */
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

/** Whether what a call has written may wake somebody: an event, or the end of a process that was started for a session. */
function mayWake(result: unknown): boolean {
  const { wakeDelivery, record } = (result ?? {}) as Partial<AppendResult & CompletionOutcome>
  return wakeDelivery !== undefined || record?.wakeTarget !== undefined
}

/** Whether a lifecycle verb has written it, and it is for others to see. */
function isTransition({ eventType, semantics }: ProcessEvent): boolean {
  return semantics.terminal !== undefined || (isLifecycleEventType(eventType) && eventType !== 'process.step')
}

/** The process that a call has changed. The call has succeeded, so its first argument was checked. */
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
