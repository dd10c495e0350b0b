import type fastCheck from 'fast-check'
import { createMemoryJournal } from '../../../../src/journal/memory-journal.js'
import { searchHistories, type ModelSearch, type WeightedSteps } from '../../../../src/testing/model.js'
import { assertAgreement } from '../../../../src/testing/operations/agreement.js'
import { operationsSteps } from '../../../../src/testing/operations/arbitraries.js'
import { assertInvariants } from '../../../../src/testing/operations/invariants.js'
import { OperationsOracle } from '../../../../src/testing/operations/oracle.js'
import type { OracleLimits } from '../../../../src/testing/operations/rows.js'
import * as steps from './journal-steps.js'
import { JournalledOperations } from './journalled-operations.js'

/** How long to search, and where. */
export interface JournalledSearch extends ModelSearch {
  /** False searches the histories of a registry without a journal. Default true. */
  readonly isDurable?: boolean
}

/** The steps of the kit, and what only our own journal can be made to do. */
export function journalledSteps(
  fc: typeof fastCheck,
): readonly WeightedSteps<OperationsOracle, JournalledOperations>[] {
  const time = fc.tuple(fc.nat(5000), fc.integer({ min: -10_000, max: 10_000 }))
  const one = (...made: steps.JournalStep[]) => fc.constantFrom(...made)
  // What a registry has; the line stands before it.
  const everyMethod = (method: string): boolean =>
    !['run', 'queue', 'queued', 'cancelQueued', 'waitForQueued'].includes(method)
  return [
    ...operationsSteps(fc, everyMethod, { weights: { retireOwner: 0 } }),
    [14, one(steps.flushStep())],
    [3, time.map(([milliseconds, wallStep]) => steps.tickStep(milliseconds, wallStep))],
    [3, one(steps.compactStep())],
    [5, one(steps.refusedWriteStep(), steps.failedSyncStep())],
    [4, one(steps.powerCutStep(), steps.lateSurvivorStep())],
    [2, one(steps.restartStep(), steps.transferStep())],
    [1, one(steps.retireOwnerStep())],
  ]
}

/**
 * Searches for a history after which our operations registry and the oracle disagree, while what is decided is under way:
 * on top of what the kit does, refused writes, failed syncs, power cuts and snapshots at any moment.
 */
export async function checkJournalledOperations(fc: typeof fastCheck, search: JournalledSearch = {}): Promise<void> {
  const { isDurable = true } = search
  const limits: fastCheck.Arbitrary<OracleLimits> = fc.record(
    { maxConcurrent: fc.integer({ min: 1, max: 4 }), maxCompleted: fc.integer({ min: 1, max: 3 }) },
    { requiredKeys: ['maxCompleted'] },
  )
  const model = {
    steps: journalledSteps(fc),
    settings: limits,
    open: async (setting: OracleLimits) => {
      const driver = await JournalledOperations.open(setting, isDurable ? createMemoryJournal() : null)
      const oracle = new OperationsOracle(setting, { isDurable })
      return { oracle, driver, close: () => driver.close() }
    },
    last: steps.flushStep(),
    agree: async (oracle: OperationsOracle, driver: JournalledOperations) => {
      await microtasks()
      driver.verifyNothingLeaked()
      await assertAgreement(driver, oracle)
      await assertInvariants(driver.registry)
    },
  }
  await searchHistories(fc, model, search)
}

/** Lets everything run that needs no turn of the event loop, so that nothing reaches the journal meanwhile. */
export async function microtasks(): Promise<void> {
  for (let count = 0; count < 20; count++) await Promise.resolve()
}
