import type fastCheck from 'fast-check'
import { cursorConsumers, operationKinds } from '../../machines/operation-vocabulary.js'
import { assertAgreement, assertInvariants } from './operations-agreement.js'
import { OperationsOracle, type OracleLimits } from './operations-oracle.js'
import * as steps from './operations-steps.js'
import { OperationsSystem } from './operations-system.js'

/** How long to search, and where. */
export interface OperationsModelOptions {
  /** Histories to try. Default 100. */
  readonly numRuns?: number
  /** The longest history. Default 60. */
  readonly maxSteps?: number
  /** Repeats a run that failed. */
  readonly seed?: number
  /** Repeats the last history of a run that failed. */
  readonly path?: string
}

/** How many different operations a history names; few, so that they meet. */
const operationCount = 6

interface Model {
  readonly oracle: OperationsOracle
}

class StepCommand implements fastCheck.AsyncCommand<Model, OperationsSystem> {
  readonly #step: steps.Step

  constructor(step: steps.Step) {
    this.#step = step
  }

  check({ oracle }: Model): boolean {
    return this.#step.isPossible?.(oracle) ?? true
  }

  async run({ oracle }: Model, system: OperationsSystem): Promise<void> {
    await this.#step.run(oracle, system)
    await microtasks()
    system.verifyNothingLeaked()
    assertAgreement(system.registry, oracle)
    assertInvariants(system.registry)
  }

  toString(): string {
    return this.#step.name
  }
}

/**
 * Searches for a history after which the operations registry and an independent oracle disagree:
 * registrations, every action, watches, waits, collecting, cursors, refused writes, failed syncs,
 * power cuts, restarts, snapshots. The invariants of spec operations 2.8 are checked after every step.
 *
 * Give it the fast-check module: `await checkOperationsModel(fc)`. Rejects with fast-check's report,
 * which names the seed and the shortest history found.
 */
export async function checkOperationsModel(fc: typeof fastCheck, options: OperationsModelOptions = {}): Promise<void> {
  const { numRuns = 100, maxSteps = 60, seed, path } = options
  const commands = fc.commands(arbitrariesOf(fc), { maxCommands: maxSteps, size: 'max' })
  const limits: fastCheck.Arbitrary<OracleLimits> = fc.record(
    { maxConcurrent: fc.integer({ min: 1, max: 4 }), maxCompleted: fc.integer({ min: 1, max: 3 }) },
    { requiredKeys: ['maxCompleted'] },
  )
  await fc.assert(fc.asyncProperty(limits, commands, runHistory(fc)), {
    numRuns,
    ...(seed !== undefined && { seed }),
    ...(path !== undefined && { path }),
  })
}

function runHistory(fc: typeof fastCheck) {
  return async (
    limits: OracleLimits,
    commands: Iterable<fastCheck.AsyncCommand<Model, OperationsSystem>>,
  ): Promise<void> => {
    const system = await OperationsSystem.open(limits)
    const model = { oracle: new OperationsOracle(limits) }
    try {
      await fc.asyncModelRun(() => ({ model, real: system }), commands)
      await new StepCommand(steps.flushStep()).run(model, system)
    } finally {
      await system.close()
    }
  }
}

function arbitrariesOf(fc: typeof fastCheck): fastCheck.Arbitrary<StepCommand>[] {
  const operation = fc.nat(operationCount - 1)
  const registration = fc.record({
    operation,
    kind: fc.constantFrom(...operationKinds),
    source: fc.constantFrom(...steps.sourceNames),
    limit: fc.option(fc.nat(4), { nil: undefined, freq: 4 }),
    isContradictory: fc.nat(15).map((dice) => dice === 15),
  })
  const register = registration.map(steps.registerStep)
  const start = operation.map((number) => steps.advanceStep('start', number))
  const advance = fc
    .tuple(fc.constantFrom(...steps.advanceActions), operation)
    .map(([action, number]) => steps.advanceStep(action, number))
  const settle = fc
    .tuple(fc.constantFrom(...steps.settleActions), operation, fc.constantFrom('', 'done'))
    .map(([action, number, text]) => steps.settleStep(action, number, text))
  const one = (...made: steps.Step[]): fastCheck.Arbitrary<steps.Step> => fc.constantFrom(...made)
  const flush = one(steps.flushStep())
  // Each entry is as likely as any other: what moves operations on stands several times.
  const arbitraries = [
    register,
    register,
    register,
    start,
    start,
    advance,
    advance,
    settle,
    settle,
    settle,
    flush,
    flush,
    flush,
    operation.map(steps.foreignResultStep),
    operation.map(steps.watchStep),
    one(steps.abandonWatchStep(), steps.disposeWaitStep()),
    fc.array(operation, { maxLength: 4 }).map(steps.waitAllStep),
    fc.uniqueArray(operation, { maxLength: 3 }).map(steps.waitAllStep),
    fc.oneof(one(steps.acknowledgeStep()), operation.map(steps.abortedWaitStep)),
    one(steps.collectStep()),
    fc
      .tuple(fc.constantFrom(...cursorConsumers), fc.nat(9))
      .map(([consumer, cursor]) => steps.cursorStep(consumer, cursor)),
    fc.oneof(operation.map(steps.forgetLostStep), one(steps.terminateOwnerStep())),
    fc.tuple(fc.nat(5000), fc.integer({ min: -10_000, max: 10_000 })).map(([ms, wall]) => steps.tickStep(ms, wall)),
    one(steps.compactStep()),
    one(steps.refusedWriteStep(), steps.failedSyncStep()),
    one(steps.powerCutStep(), steps.lateSurvivorStep(), steps.restartStep()),
    one(steps.transferStep(), steps.drainStep(), steps.retireOwnerStep()),
  ]
  return arbitraries.map((arbitrary) => arbitrary.map((step) => new StepCommand(step)))
}

/** Lets everything run that needs no turn of the event loop, so that nothing reaches the journal meanwhile. */
async function microtasks(): Promise<void> {
  for (let count = 0; count < 20; count++) await Promise.resolve()
}
