import { checkFunction } from '../base/options.js'
import { callPort, type OnFault } from './probes.js'

/** Puts back what was lost; says which slots. Cheap and synchronous, and does no more in one call than fits a tick. */
export type RecoveryHandler = () => readonly number[]

/**
 * Handlers that are called in every tick before it is reconciled, so that what they put back is seen in it. One that throws is not
 * called again. One that adds another sees it called from the next tick on (N-421).
 */
export class RecoveryRegistry {
  #handlers: readonly RecoveryHandler[] = []

  get size(): number {
    return this.#handlers.length
  }

  /** Raises `invalid_input` for what is no function. */
  add(handler: RecoveryHandler): void {
    checkFunction('recovery handler', handler)
    this.#handlers = [...this.#handlers, handler]
  }

  /** Calls every handler; the slots that they say, in order. */
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
