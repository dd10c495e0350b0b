import { onAbort } from '../../base/abort.js'
import type { Sample, ViewName } from '../stream/protocol.js'

/** The maximum number of samples queued for a viewer; if it is slow, the oldest are dropped. */
const mostSamples = 10

/**
 * What is queued for one viewer besides the entries of the stream, which are not queued per viewer. Bounded, however
 * slowly it reads.
 */
export class Viewer {
  readonly #changed = new Set<readonly ViewName[]>()
  #samples: Sample[] = []
  #isGreetingDue = true
  #wake: (() => void) | undefined
  #isWoken = false

  /** Notes that these views have changed; the arrays are mostly the same ones again and again. */
  touch(views: readonly ViewName[]): void {
    this.#changed.add(views)
  }

  /** Notes that it must be greeted again. */
  greet(): void {
    this.#isGreetingDue = true
  }

  /** Whether it must be greeted; true at first, then only once after each {@link greet}. */
  takeGreeting(): boolean {
    const isDue = this.#isGreetingDue
    this.#isGreetingDue = false
    return isDue
  }

  sample(sample: Sample): void {
    this.#samples.push(sample)
    if (this.#samples.length > mostSamples) this.#samples.shift()
  }

  /** The views that have changed since the last call. */
  takeChanged(): readonly ViewName[] {
    const changed = [...new Set([...this.#changed].flat())]
    this.#changed.clear()
    return changed
  }

  takeSamples(): readonly Sample[] {
    const samples = this.#samples
    this.#samples = []
    return samples
  }

  /** Signals that there is something to send. */
  wake(): void {
    this.#isWoken = true
    this.#wake?.()
  }

  /** Resolves when there is something to send, or the signal has aborted. */
  async woken(signal: AbortSignal): Promise<void> {
    if (!this.#isWoken && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const forget = onAbort(signal, resolve)
        this.#wake = () => {
          forget()
          resolve()
        }
      })
      this.#wake = undefined
    }
    this.#isWoken = false
  }
}
