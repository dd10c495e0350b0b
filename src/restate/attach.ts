import * as v from 'valibot'
import type { Clock } from '../base/clock.js'
import { onAbort } from '../base/abort.js'
import { StatewardError } from '../base/errors.js'
import { createDeferred, silence, type Deferred } from '../base/promises.js'
import { ProcessError, type AwaitOutput } from '../processes/index.js'
import { outputSchema } from '../processes/output.js'
import type { ProcessAttach } from '../processes/work-driver.js'
import { named, RestateError, type Awaited } from './errors.js'
import { failedAnswer, reasonOf, wasHeld, type RestateIngress } from './ingress.js'
import { processService } from './services.js'
import { takePathId } from './wire.js'
import type { RestateAdmin } from './admin.js'

/** Limits of one wait. */
export interface AttachBounds {
  /** Ends the wait with its reason. The process goes on. */
  readonly signal?: AbortSignal
  /** Milliseconds after which the wait rejects with `process.await_timeout`. The process goes on. */
  readonly timeoutMs?: number
  /** True if the process was certainly started: an engine that does not know it yet is asked again. */
  readonly isStarted?: boolean
}

/** What to wait for, and the errors to report about it. */
export interface AttachTarget<Output> {
  /** The workflow whose result is awaited. */
  readonly service: string
  readonly output: v.GenericSchema<unknown, Output>
  /** Checks the key of a run. Raises `invalid_input`. */
  readonly checked: (told: string) => string
  readonly named: (id: string) => Awaited
  readonly unknown: (id: string) => StatewardError
  readonly timedOut: (id: string, timeoutMs: number) => StatewardError
}

/** The target for waits for processes. */
export const processTarget: AttachTarget<AwaitOutput> = {
  service: processService,
  output: outputSchema,
  checked: (told) => takePathId(told),
  named: (processId) => ({ processId }),
  unknown: (processId) => new ProcessError('process.unknown', { processId }),
  timedOut: (processId, timeoutMs) => new ProcessError('process.await_timeout', { processId, timeoutMs }),
}

/** Options of an {@link Attach}. */
export interface AttachOptions {
  readonly ingress: RestateIngress
  readonly clock: Clock
  /** Milliseconds after which a silent attach is made again. */
  readonly ceilingMs: number
  /** Milliseconds for which an unreachable engine is retried. */
  readonly outageMs: number
  /**
   * Milliseconds for which an engine that does not know the run is asked again. A start becomes durable slightly before
   * it is delivered, and only then does the engine know the run.
   */
  readonly startGraceMs: number
  /** Asked during a wait whether the run is paused. */
  readonly admin?: RestateAdmin
  /** Milliseconds between two checks for a pause. */
  readonly faultCheckMs: number
}

/** The reason for ending an attach that was silent for too long. It is made again under the same id. */
const ceiling = new StatewardError('attach_ceiling_elapsed', 'the attach was silent: it is made again', {})

/** All local waits for one run. */
interface Tail<Output> {
  readonly waiters: Set<Deferred<Output>>
  readonly stop: AbortController
  isStarted: boolean
}

/**
 * Waits for runs through the durable promise of the engine that executes them (W13): the answer is authoritative, and a
 * wait can be repeated.
 *
 * All waits for one run share one attach, because each attach holds a connection. An attach that is silent for
 * almost five minutes is made again under the same id, before the connection would break. A broken connection is not a
 * failure of the process either: it is retried for a while.
 */
export class Attach<Output> {
  readonly #options: AttachOptions
  readonly #target: AttachTarget<Output>
  readonly #tails = new Map<string, Tail<Output>>()

  constructor(options: AttachOptions, target: AttachTarget<Output>) {
    this.#options = options
    this.#target = target
  }

  /** The number of runs being waited for. */
  get size(): number {
    return this.#tails.size
  }

  /**
   * Resolves with the output of the run. Rejects with the target's errors for an unknown run and for a timeout (for a
   * process `process.unknown` and `process.await_timeout`), with `restate.attach_failed`, `restate.answer_malformed`,
   * `restate.paused`, `restate.unreachable`, and with the signal's reason.
   */
  async awaitTerminal(told: string, { signal, timeoutMs, isStarted = false }: AttachBounds = {}): Promise<Output> {
    const id = this.#target.checked(told)
    signal?.throwIfAborted()
    const { clock } = this.#options
    const waiter = createDeferred<Output>()
    const tail = this.#tailOf(id)
    tail.waiters.add(waiter)
    tail.isStarted ||= isStarted
    const forget = signal === undefined ? undefined : onAbort(signal, () => waiter.reject(signal.reason))
    const timer =
      timeoutMs === undefined
        ? undefined
        : clock.setTimeout(() => waiter.reject(this.#target.timedOut(id, timeoutMs)), timeoutMs)
    try {
      return await waiter.promise
    } finally {
      forget?.()
      if (timer !== undefined) clock.clearTimeout(timer)
      tail.waiters.delete(waiter)
      if (tail.waiters.size === 0) {
        if (this.#tails.get(id) === tail) this.#tails.delete(id)
        tail.stop.abort()
      }
    }
  }

  #tailOf(id: string): Tail<Output> {
    const known = this.#tails.get(id)
    if (known !== undefined) return known
    const tail: Tail<Output> = { waiters: new Set(), stop: new AbortController(), isStarted: false }
    this.#tails.set(id, tail)
    void this.#follow(id, tail).then(
      (output) => this.#end(id, tail, ({ resolve }) => resolve(output)),
      (failure: unknown) => this.#end(id, tail, ({ reject }) => reject(failure)),
    )
    return tail
  }

  #end(id: string, tail: Tail<Output>, tell: (waiter: Deferred<Output>) => void): void {
    if (this.#tails.get(id) === tail) this.#tails.delete(id)
    for (const waiter of tail.waiters) tell(waiter)
  }

  async #follow(id: string, tail: Tail<Output>): Promise<Output> {
    const { clock, outageMs, startGraceMs } = this.#options
    const stop = tail.stop.signal
    const faults = this.#watchFaults(id, stop)
    try {
      let sinceMs: number | undefined
      for (let delayMs = 25; ; delayMs = Math.min(2 * delayMs, 1000)) {
        const askedMs = clock.monotonicNow()
        try {
          return await Promise.race([this.#attach(id, stop), faults.failed])
        } catch (thrown) {
          stop.throwIfAborted()
          if (thrown === ceiling) {
            sinceMs = undefined
            delayMs = 25
            continue
          }
          const isUnknown = thrown instanceof NotThere
          if (StatewardError.is(thrown)) throw thrown
          const now = clock.monotonicNow()
          if (wasHeld(thrown, now - askedMs)) {
            sinceMs = undefined
            delayMs = 25
          }
          sinceMs ??= now
          const leftMs = sinceMs + (isUnknown && !tail.isStarted ? startGraceMs : outageMs) - now
          if (leftMs <= 0)
            throw isUnknown ? this.#target.unknown(id) : unreachable(named(this.#target.named(id)), thrown)
          await pause(clock, Math.min(delayMs, leftMs), stop)
        }
      }
    } finally {
      faults.stop()
    }
  }

  /** One attach. Rejects with the ceiling, a typed error, or the error of the broken connection. */
  async #attach(id: string, stop: AbortSignal): Promise<Output> {
    const { service, output, named: namedAs } = this.#target
    const { ingress, clock, ceilingMs } = this.#options
    const bound = new AbortController()
    const timer = clock.setTimeout(() => bound.abort(ceiling), ceilingMs)
    try {
      const answer = await ingress.attach(service, id, AbortSignal.any([stop, bound.signal]))
      const read = v.safeParse(output, answer)
      if (read.success) return read.output
      throw new RestateError('restate.answer_malformed', { ...namedAs(id), reason: read.issues[0].message })
    } catch (thrown) {
      if (bound.signal.aborted && !stop.aborted) throw ceiling
      if (StatewardError.is(thrown)) throw thrown
      if (thrown instanceof SyntaxError)
        throw new RestateError(
          'restate.answer_malformed',
          { ...namedAs(id), reason: thrown.message },
          { cause: thrown },
        )
      const failed = failedAnswer(thrown)
      if (failed === undefined) throw thrown
      if (failed.status === 404) throw new NotThere()
      throw new RestateError('restate.attach_failed', { ...namedAs(id), ...failed })
    } finally {
      clock.clearTimeout(timer)
    }
  }

  /** Checks at intervals whether the run is paused, if there is an admin address. */
  #watchFaults(id: string, stop: AbortSignal): { readonly failed: Promise<never>; stop(): void } {
    const { admin, clock, faultCheckMs } = this.#options
    const failed = createDeferred<never>()
    const isOver = new AbortController()
    const look = async (asked: RestateAdmin): Promise<void> => {
      const either = AbortSignal.any([stop, isOver.signal])
      for (;;) {
        await pause(clock, faultCheckMs, either)
        let fault
        try {
          fault = await asked.faultOf(this.#target.service, id, either)
        } catch {
          // Whoever cannot be asked says nothing about the process.
          continue
        }
        if (fault !== undefined) return failed.reject(new RestateError('restate.paused', fault))
      }
    }
    if (admin !== undefined) void silence(look(admin))
    return { failed: silence(failed.promise), stop: () => isOver.abort() }
  }
}

/** The engine does not know the run, or not yet. */
class NotThere extends Error {}

/** Waits for processes. Can be attached to a work driver. */
export class RestateAttach extends Attach<AwaitOutput> implements ProcessAttach {
  constructor(options: AttachOptions) {
    super(options, processTarget)
  }
}

function unreachable(awaited: string, cause: unknown): RestateError<'restate.unreachable'> {
  const target = `the wait for ${awaited}`
  return new RestateError('restate.unreachable', { target, reason: reasonOf(cause) }, { cause })
}

/** Sleeps. Rejects with the signal's reason. */
export async function pause(clock: Clock, milliseconds: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const over = createDeferred<void>()
  const timer = clock.setTimeout(() => over.resolve(), milliseconds)
  const forget = onAbort(signal, () => over.reject(signal.reason))
  try {
    await over.promise
  } finally {
    forget()
    clock.clearTimeout(timer)
  }
}
