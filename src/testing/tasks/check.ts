import assert from 'node:assert/strict'
import type fastCheck from 'fast-check'
import * as v from 'valibot'
import { decode } from '../../base/decode.js'
import { functionSchema, optionsSchema } from '../../base/options.js'
import { commandTypes, type CommandType, type TaskCommand } from '../../tasks/public.js'
import type { Awaitable } from '../awaitable.js'
import { comparisons, type Comparison } from '../comparison.js'
import {
  fastCheckSchema,
  searchFields,
  searchHistories,
  type ModelSearch,
  type ModelStep,
  type WeightedSteps,
} from '../model.js'
import { codeOf } from '../probe.js'
import { assertTasksAgreement } from './agreement.js'
import { commandOf, intentSteps, type Intent } from './intents.js'
import { TasksOracle } from './oracle.js'
import type { TasksPort } from './port.js'

/** A system at the beginning of a history: no command has been submitted. */
export interface TasksUnderTest {
  readonly port: TasksPort
  /**
   * Resolves once everything that was answered is durable; called before a crash. Leave it out if every answer implies
   * that.
   */
  flush?(): Awaitable<void>
  /**
   * Lets the process die and another take over what was durable; returns the port of the new one. Without it there are
   * no crashes.
   */
  crash?(): Awaitable<TasksPort>
  close?(): Awaitable<void>
}

/** Options of {@link checkTasksModel}. */
export interface TasksModelOptions extends ModelSearch {
  /** Opens a fresh system for each history. */
  readonly open: () => Awaitable<TasksUnderTest>
  /** Commands that are submitted. Default: all. */
  readonly commands?: readonly CommandType[]
  /** Default `reported`. */
  readonly comparison?: Comparison
}

const optionsOfModel = optionsSchema<TasksModelOptions>({
  ...searchFields,
  open: functionSchema<TasksModelOptions['open']>(),
  commands: v.optional(v.pipe(v.array(v.picklist(commandTypes)), v.minLength(1))),
  comparison: v.optional(v.picklist(comparisons)),
})

/** The real side of a history. */
interface OpenTasks {
  readonly system: TasksUnderTest
  port: TasksPort
}

type Step = ModelStep<TasksOracle, OpenTasks>

/**
 * Searches for a history of commands after which your system and an independent model of the task authority disagree:
 * about refusals and their codes, or about anything that can be read. `numRuns` and `maxSteps` default to 50 histories
 * of up to 120 commands.
 *
 * Pass in the fast-check module. Rejects with fast-check's report, which contains the seed and the shortest history
 * found; its cause is a {@link ModelError}. Rejects with `invalid_input` for a bad option.
 */
export async function checkTasksModel(fc: typeof fastCheck, options: TasksModelOptions): Promise<void> {
  decode(fastCheckSchema, fc, 'fast-check module')
  const decoded = decode(optionsOfModel, options, 'tasks model options')
  const { open, commands, comparison = 'reported', numRuns = 50, maxSteps = 120 } = decoded
  const sample = await open()
  await sample.close?.()
  const steps: WeightedSteps<TasksOracle, OpenTasks>[] = intentSteps(fc, commands).map(([weight, intents]) => [
    weight,
    intents.map((intent) => commandStep(intent, commands)),
  ])
  if (sample.crash !== undefined) steps.push([5, fc.constant(crashStep)])
  const model = {
    steps,
    settings: fc.constant(undefined),
    open: async () => {
      const system = await open()
      const driver: OpenTasks = { system, port: system.port }
      return { oracle: new TasksOracle(), driver, close: async () => system.close?.() }
    },
    agree: (oracle: TasksOracle, { port }: OpenTasks) => assertTasksAgreement(port, oracle, comparison),
  }
  await searchHistories(fc, model, { ...decoded, numRuns, maxSteps })
}

/** Submits the command that an intent stands for in the current state. */
function commandStep(intent: Intent, commands: readonly CommandType[] | undefined): Step {
  return {
    name: `${intent.type} ${intent.isSensible ? '' : 'or not '}${intent.dice.join(' ')}`,
    run: async (oracle, { port }) => {
      const command = commandOf(intent, oracle)
      if (commands?.includes(command.type) === false) return 'nothing'
      const expected = oracle.submit(command)
      const { refusal: actual, sequence } = await submitTo(port, command)
      const text = JSON.stringify(command)
      assert.equal(actual, expected, `${text} should be ${wordFor(expected)}, but was ${wordFor(actual)}`)
      if (sequence !== undefined) assert.equal(sequence, oracle.sequence, `the sequence of ${text}`)
      return expected === undefined ? text : `${text}, refused with ${expected}`
    },
  }
}

/** The process dies once everything is durable, and another takes over. */
const crashStep: Step = {
  name: 'crash',
  run: async (_, driver) => {
    await driver.system.flush?.()
    driver.port = (await driver.system.crash?.()) ?? driver.port
  },
}

/**
 * Submits a command and returns the answer: the code of a refusal, or the sequence of the command if the system reports
 * one.
 */
async function submitTo(
  port: TasksPort,
  command: TaskCommand,
): Promise<{ readonly refusal?: string; readonly sequence?: number | undefined }> {
  try {
    const outcome = await port.submit(command)
    return { sequence: outcome?.sequence }
  } catch (error) {
    return { refusal: codeOf(error) }
  }
}

function wordFor(refusal: string | undefined): string {
  return refusal === undefined ? 'taken' : `refused with ${refusal}`
}
