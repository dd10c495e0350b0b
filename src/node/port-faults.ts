import { faultFields } from '../base/error-details.js'
import type { Logger } from '../base/logger.js'
import { portFailed } from './loop-lines.js'
import type { OnFault } from './probes.js'

/** Counts how often each port of a loop has failed. */
export class PortFaults {
  readonly #counts = new Map<string, number>()
  readonly #logger: Logger

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** The number of failures of each port that has failed. */
  get counts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts)
  }

  /** Counts a failure. A failing port fails in every tick, so only the first is logged. */
  readonly add: OnFault = (port, cause) => {
    const known = this.#counts.get(port) ?? 0
    this.#counts.set(port, known + 1)
    if (known === 0) portFailed(this.#logger, { port, ...faultFields(cause) })
  }
}
