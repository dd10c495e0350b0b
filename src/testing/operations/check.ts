import type fastCheck from 'fast-check'
import type { Awaitable } from '../awaitable.js'
import type { Comparison } from '../comparison.js'
import { searchHistories, type ModelSearch, type WeightedSteps } from '../model.js'
import { assertAgreement } from './agreement.js'
import { operationsSteps, type OperationsStepOptions } from './arbitraries.js'
import { advanceClockStep, crashStep, restartStep } from './life-steps.js'
import { assertInvariants, type InvariantReads } from './invariants.js'
import { OpenOperations, type OperationsUnderTest } from './open-operations.js'
import { OperationsOracle } from './oracle.js'
import type { OracleLimits } from './rows.js'

/** Options of {@link checkOperationsModel}. */
export interface OperationsModelOptions extends ModelSearch, OperationsStepOptions {
  /** Opens a fresh system with these limits, for each history. */
  readonly open: (limits: OracleLimits) => Awaitable<OperationsUnderTest>
  /** The limits to try. Default: the default limits of a session. */
  readonly limits?: readonly OracleLimits[]
  /** Default `reported`. */
  readonly comparison?: Comparison
  /** Milliseconds, by the real clock, after which an answer that is due counts as missing. Default 5,000. */
  readonly patienceMs?: number
}

/** The default limits of a session. */
const usualLimits: OracleLimits = { maxCompleted: 256 }

/**
 * Searches for a history after which your system and an independent model of operations disagree: registrations, all
 * actions, watches, waits, collecting, cursors, crashes and restarts, as far as the port has the methods. Each call is
 * answered before the next step, and everything that can be read is compared after it.
 *
 * Pass in the fast-check module. Rejects with fast-check's report, which contains the seed and the shortest history
 * found; its cause is a {@link ModelError}.
 */
export async function checkOperationsModel(fc: typeof fastCheck, options: OperationsModelOptions): Promise<void> {
  const { open, limits = [usualLimits], comparison = 'reported', patienceMs = 5000 } = options
  const sample = await open(limits[0] ?? usualLimits)
  const steps = stepsFor(fc, sample, options)
  await sample.close?.()
  const model = {
    steps,
    settings: fc.constantFrom(...limits),
    open: async (setting: OracleLimits) => {
      const system = await open(setting)
      const driver = new OpenOperations(system, { comparison, patienceMs })
      return { oracle: new OperationsOracle(setting), driver, close: async () => system.close?.() }
    },
    agree: async (oracle: OperationsOracle, driver: OpenOperations) => {
      oracle.commit()
      await driver.verify()
      await driver.inTheEnd(() => assertAgreement(driver, oracle))
      const canTell = driver.has('listOperations') && driver.has('capturePersistenceSnapshot')
      // With `whole`, every row has all the fields of a registry's row, so the invariants can be checked.
      if (comparison === 'whole' && canTell) await assertInvariants(driver.port as InvariantReads)
    },
  }
  await searchHistories(fc, model, options)
}

/** All steps that this system supports. */
function stepsFor(
  fc: typeof fastCheck,
  { port, crash, restart, advance }: OperationsUnderTest,
  options: OperationsStepOptions,
): readonly WeightedSteps<OperationsOracle, OpenOperations>[] {
  const life: WeightedSteps<OperationsOracle, OpenOperations>[] = []
  if (crash !== undefined) life.push([4, fc.constant(crashStep())])
  if (restart !== undefined) life.push([1, fc.constant(restartStep())])
  if (advance !== undefined) life.push([3, fc.nat(5000).map(advanceClockStep)])
  return [...operationsSteps(fc, (method) => port[method] !== undefined, options), ...life]
}
