import * as restate from '@restatedev/restate-sdk'
import { createDeferred, nextTurn } from '../base/promises.js'

/** A promise of the engine that resolves with the settling of the wait for it. */
type Pending = restate.RestatePromise<() => void>

/**
 * All that one run awaits from the engine. The engine's library takes one wait at a time: a second one, begun while
 * the first is under way, fails this attempt and every later one. So the branches of a run share one wait, for whatever
 * comes first.
 */
export class EngineWaits {
  /** With what rejects the wait. */
  readonly #pending = new Map<Pending, (reason: unknown) => void>()
  #isWaiting = false

  /**
   * Awaits a promise of the engine. If the run is cancelled meanwhile, everything that is awaited rejects with that. A
   * promise that is given while another one is under way is looked at once that has settled.
   */
  on<Value>(promise: restate.RestatePromise<Value>): Promise<Value> {
    const { promise: settled, resolve, reject } = createDeferred<Value>()
    const pending: Pending = promise.map((value, failure) => () => {
      this.#pending.delete(pending)
      if (failure === undefined) resolve(value as Value)
      else reject(failure)
    })
    this.#pending.set(pending, reject)
    if (!this.#isWaiting) {
      this.#isWaiting = true
      void this.#waitForAll()
    }
    return settled
  }

  async #waitForAll(): Promise<void> {
    for (;;) {
      // Whatever the code begins at the same time is awaited together.
      await nextTurn()
      if (this.#pending.size === 0) break
      try {
        const settle = await restate.RestatePromise.race([...this.#pending.keys()])
        settle()
      } catch (thrown) {
        const rejects = [...this.#pending.values()]
        this.#pending.clear()
        for (const reject of rejects) reject(thrown)
      }
    }
    this.#isWaiting = false
  }
}
