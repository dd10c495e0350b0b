import type fastCheck from 'fast-check'
import { createMemoryJournal } from '../journal/memory-journal.js'
import { assertAgreement, assertInvariants } from './operations-agreement.js'
import { weightedSteps } from './operations-arbitraries.js'
import { OperationsOracle } from './operations-oracle.js'
import type { OracleLimits } from './operations-oracle-types.js'
import { flushStep, type Step } from './operations-steps.js'
import { OperationsSystem } from './operations-system.js'

/** How long to search, and where. */
export interface OperationsModelOptions {
  /** Histories to try. Default 100. */
  readonly numRuns?: number
  /** The longest history. Default 60. */
  readonly maxSteps?: number
  /** False searches the histories of a registry without a journal. Default true. */
  readonly isDurable?: boolean
  /** Repeats a run that failed. */
  readonly seed?: number
  /** Repeats the last history of a run that failed. */
  readonly path?: string
}

interface Model {
  readonly oracle: OperationsOracle
}

class StepCommand implements fastCheck.AsyncCommand<Model, OperationsSystem> {
  readonly #step: Step

  constructor(step: Step) {
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
  const { numRuns = 100, maxSteps = 60, isDurable = true, seed, path } = options
  // Commands are drawn evenly from a list, so weight means standing in it several times.
  const drawn = weightedSteps(fc).flatMap(([weight, step]) => {
    const command = step.map((drawnStep) => new StepCommand(drawnStep))
    return Array.from({ length: weight }, () => command)
  })
  const commands = fc.commands(drawn, { maxCommands: maxSteps, size: 'max' })
  const limits: fastCheck.Arbitrary<OracleLimits> = fc.record(
    { maxConcurrent: fc.integer({ min: 1, max: 4 }), maxCompleted: fc.integer({ min: 1, max: 3 }) },
    { requiredKeys: ['maxCompleted'] },
  )
  await fc.assert(fc.asyncProperty(limits, commands, runHistory(fc, isDurable)), {
    numRuns,
    ...(seed !== undefined && { seed }),
    ...(path !== undefined && { path }),
  })
}

function runHistory(fc: typeof fastCheck, isDurable: boolean) {
  return async (
    limits: OracleLimits,
    commands: Iterable<fastCheck.AsyncCommand<Model, OperationsSystem>>,
  ): Promise<void> => {
    const system = await OperationsSystem.open(limits, isDurable ? createMemoryJournal() : null)
    const model = { oracle: new OperationsOracle(limits, { isDurable }) }
    try {
      await fc.asyncModelRun(() => ({ model, real: system }), commands)
      await new StepCommand(flushStep()).run(model, system)
    } finally {
      await system.close()
    }
  }
}

/** Lets everything run that needs no turn of the event loop, so that nothing reaches the journal meanwhile. */
async function microtasks(): Promise<void> {
  for (let count = 0; count < 20; count++) await Promise.resolve()
}
