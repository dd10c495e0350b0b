import type { OperationsOracle } from './operations-oracle.js'
import type { OperationsSystem } from './operations-system.js'

/** One thing done to the oracle and to the real registry alike. */
export interface Step {
  readonly name: string
  /** Absent means always. */
  readonly isPossible?: (oracle: OperationsOracle) => boolean
  readonly run: (oracle: OperationsOracle, system: OperationsSystem) => void | Promise<void>
}

/** A call that answers without a promise, as one. */
export async function attempt<Value>(call: () => Value): Promise<Value> {
  return call()
}
