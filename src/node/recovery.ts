import { checkFunction } from '../base/options.js'
import { callPort, type OnFault } from './probes.js'

/**
 * Restores something that was lost, and returns the slots it restored. Must be synchronous and quick, and do no more in
 * one call than fits into a tick.
 */
export type RecoveryHandler = () => readonly number[]

/**
 * Handlers that are called in every tick before it is reconciled, so that reconciliation sees what they restored. A
 * handler that throws is not called again. One that is added by another is called from the next tick on (N-421).
 */
export class RecoveryRegistry {
  #handlers: readonly RecoveryHandler[] = []

  get size(): number {
    return this.#handlers.length
  }

  /** Raises `invalid_input` if it is not a function. */
  add(handler: RecoveryHandler): void {
    checkFunction('recovery handler', handler)
    this.#handlers = [...this.#handlers, handler]
  }

  /** Calls every handler; returns the restored slots, in order. */
  run(onFault: OnFault): readonly number[] {
    const recovered: number[] = []
    for (const handler of this.#handlers) {
      const slots = callPort('recovery handler', () => listOf(handler()), onFault)
      if (slots === undefined) this.#handlers = this.#handlers.filter((other) => other !== handler)
      else recovered.push(...slots)
    }
    return recovered
  }
}

function listOf(slots: readonly number[]): readonly number[] {
  return Array.isArray(slots) ? [...(slots as readonly number[])] : slots
}
