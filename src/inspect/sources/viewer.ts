import { onAbort } from '../../base/abort.js'
import type { Sample, ViewName } from '../stream/protocol.js'

/** Points of a plot that wait for a viewer at most; of a slow one's the oldest go. */
const mostSamples = 10

/** What waits for one viewer beside the entries of the stream, which wait for nobody. Bounded, however slowly it reads. */
export class Viewer {
  readonly #changed = new Set<readonly ViewName[]>()
  #samples: Sample[] = []
  #wake: (() => void) | undefined
  #isWoken = false

  /** These views are not what they were; lists are mostly the same ones again and again. */
  touch(views: readonly ViewName[]): void {
    this.#changed.add(views)
  }

  sample(sample: Sample): void {
    this.#samples.push(sample)
    if (this.#samples.length > mostSamples) this.#samples.shift()
  }

  /** The views that have changed since this was asked last. */
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

  /** There is something to be told. */
  wake(): void {
    this.#isWoken = true
    this.#wake?.()
  }

  /** Resolves when there is, or the signal has aborted. */
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
