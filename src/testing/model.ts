import type fastCheck from 'fast-check'
import { messageOf, StatewardError } from '../base/errors.js'
import type { Awaitable } from './awaitable.js'

/** One thing done to a model and to the system that it stands for. */
export interface ModelStep<Oracle, Driver> {
  readonly name: string
  /** Absent means always. */
  readonly isPossible?: (oracle: Oracle) => boolean
  /** Does it to both. What it returns says what it came to, for a step that decides so when it runs. */
  readonly run: (oracle: Oracle, driver: Driver) => Awaitable<string | void>
}

/** How long to search, and where. */
export interface ModelSearch {
  /** Histories to try. Default 100. */
  readonly numRuns?: number
  /** The longest history. Default 60. */
  readonly maxSteps?: number
  /** These three repeat the history of a run that failed; its report names them. */
  readonly seed?: number
  readonly path?: string
  readonly replayPath?: string
}

/** Steps of one kind, and how often one of them comes up. */
export type WeightedSteps<Oracle, Driver> = readonly [
  weight: number,
  steps: fastCheck.Arbitrary<ModelStep<Oracle, Driver>>,
]

/** What a search is made of. */
export interface ModelOptions<Oracle, Driver, Setting> {
  readonly steps: readonly WeightedSteps<Oracle, Driver>[]
  /** What each history begins with. */
  readonly settings: fastCheck.Arbitrary<Setting>
  readonly open: (setting: Setting) => Awaitable<OpenModel<Oracle, Driver>>
  /** Done at the end of every history. */
  readonly last?: ModelStep<Oracle, Driver>
  /** Raises an error unless both agree; called after each step. */
  readonly agree: (oracle: Oracle, driver: Driver) => Awaitable<void>
}

/** A model and its system at the beginning of a history. */
export interface OpenModel<Oracle, Driver> {
  readonly oracle: Oracle
  readonly driver: Driver
  readonly close: () => Awaitable<void>
}

/** What is known when a system and its model part. */
export interface ModelDisagreement {
  /** Everything that was done, the last step being the one after which they disagree. */
  readonly steps: readonly string[]
}

/** Raised with code `model_disagreement` when a system does not do what its model says; the cause says where they differ. */
export class ModelError extends StatewardError<'model_disagreement', ModelDisagreement> {
  override readonly name = 'ModelError'

  constructor(steps: readonly string[], cause: unknown) {
    const history = steps.map((step, index) => `  ${index + 1}. ${step}`)
    super('model_disagreement', `${messageOf(cause)}\n\nafter\n${history.join('\n')}`, { steps }, { cause })
  }
}

interface Real<Oracle, Driver> {
  readonly options: Pick<ModelOptions<Oracle, Driver, unknown>, 'agree'>
  readonly driver: Driver
  readonly history: string[]
}

/** A step as fast-check runs it. */
class StepCommand<Oracle extends object, Driver> implements fastCheck.AsyncCommand<Oracle, Real<Oracle, Driver>> {
  readonly #step: ModelStep<Oracle, Driver>

  constructor(step: ModelStep<Oracle, Driver>) {
    this.#step = step
  }

  check(oracle: Readonly<Oracle>): boolean {
    return this.#step.isPossible?.(oracle) ?? true
  }

  async run(oracle: Oracle, { options, driver, history }: Real<Oracle, Driver>): Promise<void> {
    const { name, run } = this.#step
    history.push(name)
    try {
      const text = await run(oracle, driver)
      if (text !== undefined) history.splice(-1, 1, text)
      await options.agree(oracle, driver)
    } catch (error) {
      throw new ModelError([...history], error)
    }
  }

  toString(): string {
    return this.#step.name
  }
}

/**
 * Searches for a history after which a system and its model disagree. Rejects with the report of fast-check, which names
 * the seed and the shortest history found; its cause is a {@link ModelError}.
 */
export async function searchHistories<Oracle extends object, Driver, Setting>(
  fc: typeof fastCheck,
  options: ModelOptions<Oracle, Driver, Setting>,
  { numRuns = 100, maxSteps = 60, seed, path, replayPath }: ModelSearch,
): Promise<void> {
  const { last } = options
  // Commands are drawn evenly from a list, so weight means standing in it several times.
  const drawn = options.steps.flatMap(([weight, steps]) => {
    const command = steps.map((step) => new StepCommand(step))
    return Array.from({ length: weight }, () => command)
  })
  const commands = fc.commands(drawn, {
    maxCommands: maxSteps,
    size: 'max',
    ...(replayPath !== undefined && { replayPath }),
  })
  const property = fc.asyncProperty(options.settings, commands, async (setting, history) => {
    const { oracle, driver, close } = await options.open(setting)
    try {
      const real: Real<Oracle, Driver> = { options, driver, history: [] }
      await fc.asyncModelRun(() => ({ model: oracle, real }), history)
      if (last !== undefined) await new StepCommand(last).run(oracle, real)
    } finally {
      await close()
    }
  })
  await fc.assert(property, {
    numRuns,
    ...(seed !== undefined && { seed }),
    ...(path !== undefined && { path }),
  })
}
