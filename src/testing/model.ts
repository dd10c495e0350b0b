import type fastCheck from 'fast-check'
import * as v from 'valibot'
import { messageOf, StatewardError } from '../base/errors.js'
import { portSchema, wholeNumberSchema } from '../base/options.js'
import type { Awaitable } from './awaitable.js'

/** One step, carried out on a model and on the system under test. */
export interface ModelStep<Oracle, Driver> {
  readonly name: string
  /** Whether the step can be taken now. Default: always. */
  readonly isPossible?: (oracle: Oracle) => boolean
  /**
   * Carries out the step on both. A returned string replaces its name in the history, for a step that decides what to
   * do only when it runs.
   */
  readonly run: (oracle: Oracle, driver: Driver) => Awaitable<string | void>
}

/** The extent of a search. */
export interface ModelSearch {
  /** Number of histories to try. Default 100. */
  readonly numRuns?: number
  /** Maximum length of a history, in steps. Default 60. */
  readonly maxSteps?: number
  /** `seed`, `path` and `replayPath` repeat the history of a failed run; its report contains them. */
  readonly seed?: number
  readonly path?: string
  readonly replayPath?: string
}

/** The schemas of {@link ModelSearch}, field by field. */
export const searchFields = {
  numRuns: v.optional(wholeNumberSchema(1)),
  maxSteps: v.optional(wholeNumberSchema(1)),
  seed: v.optional(v.pipe(v.number(), v.integer())),
  path: v.optional(v.string()),
  replayPath: v.optional(v.string()),
}

/** Accepts the module that searches. */
export const fastCheckSchema = portSchema<typeof fastCheck>(['commands', 'asyncProperty', 'asyncModelRun', 'assert'])

/** A kind of step and its weight, which sets how often it is drawn. */
export type WeightedSteps<Oracle, Driver> = readonly [
  weight: number,
  steps: fastCheck.Arbitrary<ModelStep<Oracle, Driver>>,
]

/** Options of {@link searchHistories}. */
export interface ModelOptions<Oracle, Driver, Setting> {
  readonly steps: readonly WeightedSteps<Oracle, Driver>[]
  /** The settings with which histories begin. */
  readonly settings: fastCheck.Arbitrary<Setting>
  readonly open: (setting: Setting) => Awaitable<OpenModel<Oracle, Driver>>
  /** A step at the end of every history. */
  readonly last?: ModelStep<Oracle, Driver>
  /** Throws an error unless both agree; called after each step. */
  readonly agree: (oracle: Oracle, driver: Driver) => Awaitable<void>
}

/** A model and its system at the beginning of a history. */
export interface OpenModel<Oracle, Driver> {
  readonly oracle: Oracle
  readonly driver: Driver
  readonly close: () => Awaitable<void>
}

/** Data of `model_disagreement`. */
export interface ModelDisagreement {
  /** All steps of the history; system and model disagree after the last one. */
  readonly steps: readonly string[]
}

/**
 * Raised with code `model_disagreement` if a system does not do what its model predicts; the cause describes the
 * difference.
 */
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

/** A step as a command of fast-check. */
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
 * Searches for a history after which a system and its model disagree. Rejects with the report of fast-check, which
 * contains the seed and the shortest history found; its cause is a {@link ModelError}.
 */
export async function searchHistories<Oracle extends object, Driver, Setting>(
  fc: typeof fastCheck,
  options: ModelOptions<Oracle, Driver, Setting>,
  { numRuns = 100, maxSteps = 60, seed, path, replayPath }: ModelSearch,
): Promise<void> {
  const { last } = options
  // Commands are drawn uniformly from a list, so a step with weight n is listed n times.
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
