import type fastCheck from 'fast-check'
import * as v from 'valibot'
import { decode } from '../../base/decode.js'
import { InvalidInputError } from '../../base/errors.js'
import { durationSchema, functionSchema, optionsSchema, wholeNumberSchema } from '../../base/options.js'
import type { Awaitable } from '../awaitable.js'
import { comparisons, type Comparison } from '../comparison.js'
import { fastCheckSchema, searchFields, searchHistories, type ModelSearch, type WeightedSteps } from '../model.js'
import { assertAgreement } from './agreement.js'
import { operationsSteps, stepFields, type OperationsStepOptions } from './arbitraries.js'
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

const optionsOfModel = optionsSchema<OperationsModelOptions>({
  ...searchFields,
  ...stepFields,
  open: functionSchema<OperationsModelOptions['open']>(),
  limits: v.optional(
    v.pipe(
      v.array(
        optionsSchema<OracleLimits>({
          maxConcurrent: v.optional(wholeNumberSchema(0)),
          maxCompleted: wholeNumberSchema(0),
          whenFull: v.optional(v.picklist(['refuse', 'queue'])),
          maxQueued: v.optional(wholeNumberSchema(0)),
        }),
      ),
      v.minLength(1),
    ),
  ),
  comparison: v.optional(v.picklist(comparisons)),
  patienceMs: v.optional(durationSchema),
})

/** The default limits of a session. */
const usualLimits: OracleLimits = { maxCompleted: 256 }

/**
 * Searches for a history after which your system and an independent model of operations disagree: registrations, all
 * actions, watches, waits, collecting, cursors, crashes and restarts, as far as the port has the methods. Each call is
 * answered before the next step, and everything that can be read is compared after it.
 *
 * Pass in the fast-check module. Rejects with fast-check's report, which contains the seed and the shortest history
 * found; its cause is a {@link ModelError}. Rejects with `invalid_input` for a bad option and for a port without
 * methods.
 */
export async function checkOperationsModel(fc: typeof fastCheck, options: OperationsModelOptions): Promise<void> {
  decode(fastCheckSchema, fc, 'fast-check module')
  const decoded = decode(optionsOfModel, options, 'operations model options')
  const { open, limits = [usualLimits], comparison = 'reported', patienceMs = 5000 } = decoded
  const sample = await open(limits[0] ?? usualLimits)
  let steps: ReturnType<typeof stepsFor>
  try {
    steps = stepsFor(fc, sample, decoded)
  } finally {
    await sample.close?.()
  }
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
  await searchHistories(fc, model, decoded)
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
  const calls = operationsSteps(fc, (method) => port[method] !== undefined, options)
  if (calls.length > 0) return [...calls, ...life]
  throw new InvalidInputError({ subject: 'operations port', field: '$', reason: 'has no method to call' })
}
