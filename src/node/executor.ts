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

/** Whether an action may be carried out now; what it reserves is given back when the dispatcher fails. */
export interface ExecutorGate {
  admit(pending: PendingAction, now: MonotonicMs): Admission
  release(pending: PendingAction): void
  /** The cluster flag at a depth: an edge, or nothing. */
  measure(depth: number): BackpressureEdge | undefined
  /** Whether the cluster flag is up. */
  readonly isAsserted: boolean
}

/** Told what becomes of actions; must not throw. */
export interface ExecutorRecorder {
  /** The outcome of an action, for the action chain. */
  disposed(pending: PendingAction, disposition: ActionDisposition): void
  /** An action will not be carried out, for the failure chain. */
  failed(pending: PendingAction, reason: string): void
}

/** What an executor is built on. */
export interface ExecutorOptions {
  readonly capacity: number
  /** How often an action is put off before it counts as failed. */
  readonly maxDeferCount: number
  readonly gate: ExecutorGate
  readonly dispatcher: Dispatcher
  readonly recorder: ExecutorRecorder
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  readonly logger: Logger
  readonly inspect?: Inspect
}

/** What an executor has done; each number is right by itself, all of them together may be of different instants. */
export interface ExecutorStats {
  readonly dispatched: number
  readonly failed: number
  /** Every time that an action was put off. */
  readonly deferred: number
  /** Actions that took the place of one that was put off. */
  readonly coalesced: number
  readonly gated: number
  readonly dispatchRetries: number
  readonly clusterBackpressureAsserts: number
  readonly clusterBackpressureReleases: number
}

/** Milliseconds between two looks at the depth while the cluster flag is up and nothing else happens. */
const idlePollMs = 100

/** So many are remembered of what cannot be carried out. */
const mostUnsupported = 1024

const chart = new ChartTable(executorMachine)

/**
 * Carries out the actions that reconciliation asks for, one after another: each is admitted, put off or gated, and what became
 * of it is recorded. It takes so many actions and no more; what it has no room for is asked for again by a later pass (N-410).
 */
export class Executor {
  readonly #options: ExecutorOptions
  readonly #queue: BoundedQueue<PendingAction>
  readonly #deferred: DeferredActions
  /** Put off, and due now. */
  readonly #due: DeferredAction[] = []
  readonly #share: LoopShare
  readonly #actor: ExecutorActor | undefined
  readonly #hookGuard: ObserverGuard
  readonly #ended = createDeferred<void>()
  #place: Place<typeof executorMachine> = { value: 'waiting', context: {} }
  #isScheduled = false
  /** What nothing here can carry out, and was recorded already. */
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

  /** Actions that are queued or put off. */
  get depth(): number {
    return this.#queue.size + this.#deferred.size + this.#due.length
  }

  /** Takes an action; false when there is no room for it, or when nothing is taken any more. */
  offer(pending: PendingAction): boolean {
    if (this.state === 'finishing' || this.state === 'ended') return false
    if (this.#queue.size >= this.#options.capacity) return false
    this.#queue.push(pending)
    this.#schedule()
    return true
  }

  /** Takes no more; resolves once what was queued is carried out. What was put off is recorded as failed (H-8). */
  close(): Promise<void> {
    for (const { pending } of [...this.#deferred.clear(), ...this.#due.splice(0)]) {
      this.#fail(pending, 'the node ended before its time came')
    }
    this.#send({ type: 'close', queued: this.#queue.size })
    if (this.state === 'ended') this.#end()
    else this.#schedule()
    return this.#ended.promise
  }

  /** Never in the middle of what the loop does. */
  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    queueMicrotask(() => void this.#run())
  }

  /** Takes one action after another until there is none. Never rejects: all that may throw is caught where it is called. */
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

  /** Puts an action off; false when that was done too often, or when nothing is waited for any more. */
  #putOff(pending: PendingAction, deferrals: number, delayMs: number): boolean {
    if (deferrals >= this.#options.maxDeferCount || this.state === 'finishing') return false
    this.#stats.deferred += 1
    if (this.#deferred.add({ pending, deferrals: deferrals + 1 }, delayMs)) this.#stats.coalesced += 1
    return true
  }

  /** Reconciliation goes on asking for what cannot be done: it is recorded once for each kind and target. */
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

  /** Only the falling edge can come while nothing is done, so only that is looked for. */
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

/** What a dispatcher that threw has said. */
function failureOf(thrown: unknown): { readonly reason: string; readonly retryAfterMs?: number } {
  if (StatewardError.is(thrown, 'node.unsupported')) return { reason: thrown.message }
  if (!StatewardError.is(thrown, 'node.dispatch_failed'))
    return { reason: `the dispatcher threw: ${messageOf(thrown)}` }
  const { reason, retryAfterMs } = thrown.data as NodeErrorData['node.dispatch_failed']
  return { reason, ...(retryAfterMs !== undefined && { retryAfterMs }) }
}
