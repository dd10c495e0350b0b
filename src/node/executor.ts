import { createActor } from 'xstate'
import { ChartTable, type Place } from '../../machines/chart-table.js'
import { executorMachine, type ExecutorActor, type ExecutorEvent } from '../../machines/executor.js'
import { BoundedQueue } from '../base/bounded-queue.js'
import type { Clock } from '../base/clock.js'
import type { Deadline, DeadlineQueue } from '../base/deadline-queue.js'
import { messageOf, StatewardError } from '../base/errors.js'
import { followRoot, inspectOption, type Inspect } from '../base/inspection.js'
import type { Logger } from '../base/logger.js'
import { LoopShare } from '../base/loop-share.js'
import { createObserverGuard, type ObserverGuard } from '../base/observers.js'
import { createDeferred } from '../base/promises.js'
import type { PendingAction } from './action.js'
import type { Admission } from './admission.js'
import type { NodeErrorData } from './errors.js'
import { DeferredActions, keyOf, type DeferredAction } from './deferred-actions.js'
import type { BackpressureEdge, Dispatcher } from './dispatch.js'
import type { ActionDisposition } from './records.js'
import { msUntil } from './scalars.js'
import type { MonotonicMs } from './vocabulary.js'

/** Decides whether an action may be dispatched now; reservations are released if the dispatcher fails. */
export interface ExecutorGate {
  admit(pending: PendingAction, now: MonotonicMs): Admission
  release(pending: PendingAction): void
  /** The edge of the cluster flag at this depth, if there is one. */
  measure(depth: number): BackpressureEdge | undefined
  /** Whether the cluster flag is raised. */
  readonly isAsserted: boolean
}

/** Records what becomes of actions; must not throw. */
export interface ExecutorRecorder {
  /** The disposition of an action, for the action chain. */
  disposed(pending: PendingAction, disposition: ActionDisposition): void
  /** An action that will not be carried out, for the failure chain. */
  failed(pending: PendingAction, reason: string): void
}

/** Options of an {@link Executor}. */
export interface ExecutorOptions {
  readonly capacity: number
  /** How often an action is deferred before it counts as failed. */
  readonly maxDeferCount: number
  readonly gate: ExecutorGate
  readonly dispatcher: Dispatcher
  readonly recorder: ExecutorRecorder
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  readonly logger: Logger
  readonly inspect?: Inspect
}

/** Counters of an executor. Each is exact, but they may be of slightly different instants. */
export interface ExecutorStats {
  readonly dispatched: number
  readonly failed: number
  /** Deferrals, counting every one of an action. */
  readonly deferred: number
  /** Actions that replaced a deferred one. */
  readonly coalesced: number
  readonly gated: number
  readonly dispatchRetries: number
  readonly clusterBackpressureAsserts: number
  readonly clusterBackpressureReleases: number
}

/** How often the depth is checked while the cluster flag is raised and nothing else happens, in milliseconds. */
const idlePollMs = 100

/** How many unsupported actions are remembered. */
const mostUnsupported = 1024

const chart = new ChartTable(executorMachine)

/**
 * Carries out the actions that reconciliation asks for, one after another: each is admitted, deferred or gated, and its
 * disposition is recorded. Its capacity is bounded; a later pass asks again for actions that found no room (N-410).
 */
export class Executor {
  readonly #options: ExecutorOptions
  readonly #queue: BoundedQueue<PendingAction>
  readonly #deferred: DeferredActions
  /** Deferred actions that are due now. */
  readonly #due: DeferredAction[] = []
  readonly #share: LoopShare
  readonly #actor: ExecutorActor | undefined
  readonly #hookGuard: ObserverGuard
  readonly #ended = createDeferred<void>()
  #place: Place<typeof executorMachine> = { value: 'waiting', context: {} }
  #isScheduled = false
  /** Unsupported actions that were recorded already. */
  readonly #unsupported = new Set<string>()
  #poll: Deadline | undefined
  readonly #stats = {
    dispatched: 0,
    failed: 0,
    deferred: 0,
    coalesced: 0,
    gated: 0,
    dispatchRetries: 0,
    clusterBackpressureAsserts: 0,
    clusterBackpressureReleases: 0,
  }

  constructor(options: ExecutorOptions) {
    const { capacity, clock, deadlines, logger, inspect } = options
    this.#options = options
    this.#queue = new BoundedQueue<PendingAction>(capacity)
    this.#deferred = new DeferredActions(deadlines, (deferred) => {
      this.#due.push(deferred)
      this.#schedule()
    })
    this.#share = new LoopShare(clock)
    this.#hookGuard = createObserverGuard(logger, 'a dispatcher could not take backpressure')
    if (inspect === undefined) return
    this.#actor = createActor(executorMachine, { id: 'executor', clock, ...inspectOption(inspect, logger) })
    followRoot(inspect, this.#actor)
    this.#actor.start()
  }

  get state(): Place<typeof executorMachine>['value'] {
    return this.#place.value
  }

  get stats(): ExecutorStats {
    return { ...this.#stats }
  }

  /** Actions that are queued or deferred. */
  get depth(): number {
    return this.#queue.size + this.#deferred.size + this.#due.length
  }

  /** Accepts an action; false when there is no room or the executor is closed. */
  offer(pending: PendingAction): boolean {
    if (this.state === 'finishing' || this.state === 'ended') return false
    if (this.#queue.size >= this.#options.capacity) return false
    this.#queue.push(pending)
    this.#schedule()
    return true
  }

  /** Accepts no more; resolves once the queued actions are carried out. Deferred ones are recorded as failed (H-8). */
  close(): Promise<void> {
    for (const { pending } of [...this.#deferred.clear(), ...this.#due.splice(0)]) {
      this.#fail(pending, 'the node ended before its time came')
    }
    this.#send({ type: 'close', queued: this.#queue.size })
    if (this.state === 'ended') this.#end()
    else this.#schedule()
    return this.#ended.promise
  }

  /** Runs later, never in the middle of what the loop does. */
  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    queueMicrotask(() => void this.#run())
  }

  /** Works off the queue. Never rejects: everything that may throw is caught where it is called. */
  async #run(): Promise<void> {
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      await this.#execute(next)
      this.#send({ type: 'settle', queued: this.#queue.size })
      if (this.#share.isUsedUp) await this.#share.turn()
    }
    this.#isScheduled = false
    if (this.state === 'ended') this.#end()
    else this.#pollLater()
  }

  #next(): DeferredAction | undefined {
    const due = this.#due.shift()
    if (due !== undefined) return due
    const pending = this.#queue.shift()
    return pending && { pending, deferrals: 0 }
  }

  async #execute({ pending, deferrals }: DeferredAction): Promise<void> {
    const { gate, clock, recorder } = this.#options
    const now = clock.monotonicNow()
    this.#measure(this.depth + 1)
    const admission = gate.admit(pending, now)
    switch (admission.status) {
      case 'admitted':
        return this.#dispatch(pending, deferrals)
      case 'deferred':
        if (this.#putOff(pending, deferrals, admission.retryAfterMs)) return
        return this.#fail(pending, `deferred ${deferrals} times`)
      case 'gated': {
        const { reason } = admission
        const cooldownMs = msUntil(admission.until, now)
        this.#stats.gated += 1
        recorder.disposed(pending, { status: 'gated', reason, cooldownMs })
        recorder.failed(pending, `gated (${reason}) for ${cooldownMs} ms`)
      }
    }
  }

  async #dispatch(pending: PendingAction, deferrals: number): Promise<void> {
    const { dispatcher, recorder } = this.#options
    this.#send({ type: 'dispatch' })
    try {
      await dispatcher.dispatch(pending)
    } catch (thrown) {
      return this.#dispatchFailed(pending, deferrals, thrown)
    }
    this.#stats.dispatched += 1
    recorder.disposed(pending, { status: 'dispatched' })
  }

  #dispatchFailed(pending: PendingAction, deferrals: number, thrown: unknown): void {
    const { gate, recorder } = this.#options
    gate.release(pending)
    this.#measure(this.depth)
    if (StatewardError.is(thrown, 'node.unsupported') && this.#isKnownUnsupported(pending)) {
      this.#stats.failed += 1
      return
    }
    const { reason, retryAfterMs } = failureOf(thrown)
    if (retryAfterMs === undefined) return this.#fail(pending, reason)
    if (!this.#putOff(pending, deferrals, retryAfterMs)) {
      return this.#fail(pending, `${reason}; budget of ${this.#options.maxDeferCount} retries exhausted`)
    }
    this.#stats.dispatchRetries += 1
    recorder.disposed(pending, { status: 'failed', reason, retryAfterMs })
  }

  /** Defers an action; false when its deferrals are used up, or when the executor is closing. */
  #putOff(pending: PendingAction, deferrals: number, delayMs: number): boolean {
    if (deferrals >= this.#options.maxDeferCount || this.state === 'finishing') return false
    this.#stats.deferred += 1
    if (this.#deferred.add({ pending, deferrals: deferrals + 1 }, delayMs)) this.#stats.coalesced += 1
    return true
  }

  /** Reconciliation keeps asking for what cannot be done; it is recorded once for each type and target. */
  #isKnownUnsupported({ action }: PendingAction): boolean {
    const key = keyOf(action)
    if (this.#unsupported.has(key)) return true
    if (this.#unsupported.size >= mostUnsupported) this.#unsupported.clear()
    this.#unsupported.add(key)
    return false
  }

  #fail(pending: PendingAction, reason: string): void {
    const { recorder } = this.#options
    this.#stats.failed += 1
    recorder.disposed(pending, { status: 'failed', reason })
    recorder.failed(pending, reason)
  }

  #measure(depth: number): void {
    const { gate, dispatcher } = this.#options
    const edge = gate.measure(depth)
    if (edge === undefined) return
    if (edge.type === 'asserted') this.#stats.clusterBackpressureAsserts += 1
    else this.#stats.clusterBackpressureReleases += 1
    this.#hookGuard(() => dispatcher.onClusterBackpressure?.(edge))
  }

  /** While the executor is idle only the falling edge can come, so only that is checked. */
  #pollLater(): void {
    const { gate, deadlines } = this.#options
    if (this.#poll !== undefined || !gate.isAsserted) return
    this.#poll = deadlines.after(idlePollMs, () => {
      this.#poll = undefined
      this.#measure(this.depth)
      this.#pollLater()
    })
  }

  #end(): void {
    this.#poll?.[Symbol.dispose]()
    this.#ended.resolve()
  }

  #send(event: ExecutorEvent): void {
    const next = chart.move(this.#place, event)
    if (next === undefined) return
    this.#place = next
    this.#actor?.send(event)
  }
}

/** The failure that a dispatcher has thrown. */
function failureOf(thrown: unknown): { readonly reason: string; readonly retryAfterMs?: number } {
  if (StatewardError.is(thrown, 'node.unsupported')) return { reason: thrown.message }
  if (!StatewardError.is(thrown, 'node.dispatch_failed'))
    return { reason: `the dispatcher threw: ${messageOf(thrown)}` }
  const { reason, retryAfterMs } = thrown.data as NodeErrorData['node.dispatch_failed']
  return { reason, ...(retryAfterMs !== undefined && { retryAfterMs }) }
}
