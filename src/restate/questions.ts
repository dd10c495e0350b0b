import { createHash, randomUUID } from 'node:crypto'
import { StatewardError } from '../base/errors.js'

/** How many given up questions are known at most; what is forgotten is asked anew. */
const remembered = 1000

/**
 * The questions that wait on the engine until something happens. One that its asker gives up goes on waiting there, so whoever asks
 * the same again is given its key: or each that is given up would leave another one behind.
 */
export class Questions {
  readonly #keys = new Map<string, string>()

  /** Asks under the key of the same question, if it waits already. A refusal may be of an earlier time then: it is asked anew, once. */
  async ask<Answered>(
    question: unknown,
    signal: AbortSignal,
    ask: (key: string) => Promise<Answered>,
  ): Promise<Answered> {
    const name = createHash('sha256').update(JSON.stringify(question)).digest('base64')
    const known = this.#keys.get(name)
    const key = known ?? randomUUID()
    if (known === undefined) this.#remember(name, key)
    try {
      const answered = await ask(key)
      this.#forget(name, key)
      return answered
    } catch (thrown) {
      if (signal.aborted) throw thrown
      this.#forget(name, key)
      const isRefusal = StatewardError.is(thrown) && !thrown.code.startsWith('restate.')
      if (known === undefined || !isRefusal) throw thrown
    }
    return ask(randomUUID())
  }

  #remember(name: string, key: string): void {
    const [oldest] = this.#keys.keys()
    if (this.#keys.size >= remembered && oldest !== undefined) this.#keys.delete(oldest)
    this.#keys.set(name, key)
  }

  #forget(name: string, key: string): void {
    if (this.#keys.get(name) === key) this.#keys.delete(name)
  }
}
