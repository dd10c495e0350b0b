import * as v from 'valibot'
import type { Clock } from '../base/clock.js'
import { onAbort } from '../base/abort.js'
import { StatewardError } from '../base/errors.js'
import { createDeferred, silence, type Deferred } from '../base/promises.js'
import { ProcessError, type AwaitOutput, type ProcessId } from '../processes/index.js'
import { outputSchema } from '../processes/output.js'
import type { ProcessAttach } from '../processes/work-driver.js'
import { RestateError } from './errors.js'
import { failedAnswer, reasonOf, wasHeld, type RestateIngress } from './ingress.js'
import { processService } from './session.js'
import { takePathId } from './wire.js'
import type { RestateAdmin } from './admin.js'

/** Limits of one wait. */
export interface AttachBounds {
  /** Gives the wait up with its reason; the process goes on. */
  readonly signal?: AbortSignal
  /** Milliseconds after which the wait rejects with `process.await_timeout`; the process goes on. */
  readonly timeoutMs?: number
  /** True for a process that was started for certain: an engine that does not know it yet is asked again. */
  readonly isStarted?: boolean
}

/** What a {@link RestateAttach} is built on. */
export interface RestateAttachOptions {
  readonly ingress: RestateIngress
  readonly clock: Clock
  /** Milliseconds after which an attach that is still silent is made anew. */
  readonly ceilingMs: number
  /** Milliseconds for which an engine that cannot be reached is tried again. */
  readonly outageMs: number
  /**
   * Milliseconds for which an engine that does not know the process is asked again: a start is durable a moment before it is
   * delivered, and only then known.
   */
  readonly startGraceMs: number
  /** Asked meanwhile whether the process is paused. */
  readonly admin?: RestateAdmin
  /** Milliseconds between two such questions. */
  readonly faultCheckMs: number
}

/** What an attach is given up with when it has been silent for too long: it is made again, under the same id. */
const ceiling = new StatewardError('attach_ceiling_elapsed', 'the attach was silent: it is made again', {})

/** Everybody here who waits for one process. */
interface Tail {
  readonly waiters: Set<Deferred<AwaitOutput>>
  readonly stop: AbortController
  isStarted: boolean
}

/**
 * Waits for processes by the durable promise of the engine that runs them (W13): authoritative, as often as somebody asks.
 *
 * All waits of one process share one attach, because each holds a connection. One that is silent for almost five
 * minutes is made anew under the same id before the connection dies of it; a connection that breaks is no failure of the
 * process either, and is tried again for a while.
 */
export class RestateAttach implements ProcessAttach {
  readonly #options: RestateAttachOptions
  readonly #tails = new Map<ProcessId, Tail>()

  constructor(options: RestateAttachOptions) {
    this.#options = options
  }

  /** How many processes somebody waits for. */
  get size(): number {
    return this.#tails.size
  }

  /**
   * Resolves with what the process has come to. Rejects with `process.unknown`, `process.await_timeout`,
   * `restate.attach_failed`, `restate.answer_malformed`, `restate.paused`, `restate.unreachable`, and with the signal's
   * reason.
   */
  async awaitTerminal(
    processId: ProcessId,
    { signal, timeoutMs, isStarted = false }: AttachBounds = {},
  ): Promise<AwaitOutput> {
    const id = takePathId(processId)
    signal?.throwIfAborted()
    const { clock } = this.#options
    const waiter = createDeferred<AwaitOutput>()
    const tail = this.#tailOf(id)
    tail.waiters.add(waiter)
    tail.isStarted ||= isStarted
    const forget = signal === undefined ? undefined : onAbort(signal, () => waiter.reject(signal.reason))
    const timer =
      timeoutMs === undefined
        ? undefined
        : clock.setTimeout(
            () => waiter.reject(new ProcessError('process.await_timeout', { processId: id, timeoutMs })),
            timeoutMs,
          )
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

  #tailOf(id: ProcessId): Tail {
    const known = this.#tails.get(id)
    if (known !== undefined) return known
    const tail: Tail = { waiters: new Set(), stop: new AbortController(), isStarted: false }
    this.#tails.set(id, tail)
    void this.#follow(id, tail).then(
      (output) => this.#end(id, tail, ({ resolve }) => resolve(output)),
      (failure: unknown) => this.#end(id, tail, ({ reject }) => reject(failure)),
    )
    return tail
  }

  #end(id: ProcessId, tail: Tail, tell: (waiter: Deferred<AwaitOutput>) => void): void {
    if (this.#tails.get(id) === tail) this.#tails.delete(id)
    for (const waiter of tail.waiters) tell(waiter)
  }

  async #follow(id: ProcessId, tail: Tail): Promise<AwaitOutput> {
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
          const isUnknown = StatewardError.is(thrown, 'process.unknown')
          if (StatewardError.is(thrown) && !isUnknown) throw thrown
          const now = clock.monotonicNow()
          if (wasHeld(thrown, now - askedMs)) {
            sinceMs = undefined
            delayMs = 25
          }
          sinceMs ??= now
          const leftMs = sinceMs + (isUnknown && !tail.isStarted ? startGraceMs : outageMs) - now
          if (leftMs <= 0) throw isUnknown ? thrown : unreachable(id, thrown)
          await pause(clock, Math.min(delayMs, leftMs), stop)
        }
      }
    } finally {
      faults.stop()
    }
  }

  /** One attach. Rejects with the ceiling, a typed error, or what the connection broke with. */
  async #attach(id: ProcessId, stop: AbortSignal): Promise<AwaitOutput> {
    const { ingress, clock, ceilingMs } = this.#options
    const bound = new AbortController()
    const timer = clock.setTimeout(() => bound.abort(ceiling), ceilingMs)
    try {
      const answer = await ingress.attach(processService, id, AbortSignal.any([stop, bound.signal]))
      const read = v.safeParse(outputSchema, answer)
      if (read.success) return read.output
      throw new RestateError('restate.answer_malformed', { processId: id, reason: read.issues[0].message })
    } catch (thrown) {
      if (bound.signal.aborted && !stop.aborted) throw ceiling
      if (StatewardError.is(thrown)) throw thrown
      if (thrown instanceof SyntaxError)
        throw new RestateError('restate.answer_malformed', { processId: id, reason: thrown.message }, { cause: thrown })
      const failed = failedAnswer(thrown)
      if (failed === undefined) throw thrown
      if (failed.status === 404) throw new ProcessError('process.unknown', { processId: id })
      throw new RestateError('restate.attach_failed', { processId: id, ...failed })
    } finally {
      clock.clearTimeout(timer)
    }
  }

  /** Looks now and then whether the process is paused, where that can be asked. */
  #watchFaults(id: ProcessId, stop: AbortSignal): { readonly failed: Promise<never>; stop(): void } {
    const { admin, clock, faultCheckMs } = this.#options
    const failed = createDeferred<never>()
    const isOver = new AbortController()
    const look = async (asked: RestateAdmin): Promise<void> => {
      const either = AbortSignal.any([stop, isOver.signal])
      for (;;) {
        await pause(clock, faultCheckMs, either)
        let fault
        try {
          fault = await asked.faultOf(id, either)
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

function unreachable(id: ProcessId, cause: unknown): RestateError<'restate.unreachable'> {
  const target = `the wait for process \`${id}\``
  return new RestateError('restate.unreachable', { target, reason: reasonOf(cause) }, { cause })
}

/** Sleeps; rejects with the signal's reason. */
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
