import type { Clock } from '../base/clock.js'
import type { DeadlineQueue } from '../base/deadline-queue.js'
import { errorDetailsOf } from '../base/error-details.js'
import { InvalidInputError, StatewardError } from '../base/errors.js'
import type { JsonValue } from '../base/json.js'
import type { Logger } from '../base/logger.js'
import { DurableContext } from '../work/durable-context.js'
import { checkValue, decodeValue, encodeValue, type Schema } from '../work/values.js'
import type { Awaiter } from './awaiter.js'
import type { ProcessDefinition } from './definition.js'
import type { Definitions } from './definitions.js'
import { cancelRequestedType } from './event-type.js'
import type { AwaitOutput } from './output.js'
import { cancelledBy } from './process-run.js'
import { patienceOf } from './patience.js'
import type { ProcessRecord } from './record.js'
import { RunLog } from './run-log.js'
import { RunScope } from './run-scope.js'
import type { ProcessRunner, RunContext } from './runner.js'
import type { ProcessId } from './scalars.js'
import { isPassingFailure } from './store-failure.js'

/** Options of a {@link DefinitionRunner}. */
export interface DefinitionRunnerOptions {
  readonly definitions: Definitions
  readonly awaiter: Awaiter
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  readonly logger: Logger
  /** Starts a process called by another one, unless it already exists. */
  readonly startChild: (
    definition: ProcessDefinition,
    childId: ProcessId,
    input: JsonValue,
    parent: ProcessRecord,
  ) => Promise<void>
}

/** Runs processes by their definitions. */
export class DefinitionRunner implements ProcessRunner {
  readonly #options: DefinitionRunnerOptions

  constructor(options: DefinitionRunnerOptions) {
    this.#options = options
  }

  canRun({ input, envRef }: ProcessRecord): boolean {
    return input.type === 'engine' && this.#options.definitions.inEnvironment(envRef) !== undefined
  }

  async run(run: RunContext): Promise<AwaitOutput> {
    const { record } = run
    const definition = this.#options.definitions.inEnvironment(record.envRef)
    if (definition === undefined) throw new TypeError(`process ${record.id} was taken without a definition`)
    // No run has started yet, so there is nothing to wind down.
    if (record.cancelRequested === true && record.firstStarted?.attempt === 1)
      return cancelledBy(await run.store.firstEventAfter(record.id, cancelRequestedType, 0))
    try {
      return await this.#execute(run, definition)
    } catch (thrown) {
      // If the run was told to stop, the stop cause decides what happens next. A failure of the store says nothing
      // about the process.
      const isOurs = run.job.signal.aborted || StatewardError.is(thrown, 'process.lease_superseded')
      const isLater = record.disposition === 'rerunnable' && isPassingFailure(thrown)
      if (isOurs || isLater) throw thrown
      return failureOf(thrown)
    }
  }

  async #execute(run: RunContext, definition: ProcessDefinition): Promise<AwaitOutput> {
    const { definitions, awaiter, clock, deadlines, logger, startChild } = this.#options
    const { record } = run
    const { kind } = definition
    const input = decodeValue(payloadOf(record))
    let given = input
    try {
      given = await checked(definition.input, input, `input of ${kind}`)
    } catch (refusal) {
      if (refusal instanceof InvalidInputError) return { ...failureOf(refusal), class: 'invalid_request' }
      throw refusal
    }
    const called = new Map<string, ProcessDefinition>()
    const patiently = patienceOf(deadlines, run.job.signal)
    using log = await RunLog.open(run, {
      awaiter,
      clock,
      deadlines,
      logger,
      patiently,
      startChild: (childId, name, childInput, parent) =>
        startChild(called.get(name) ?? definitions.ofKind(name), childId, childInput, parent),
    })
    const durable = new DurableContext({ job: run.job, log, clock })
    const onCalled = (one: ProcessDefinition): void => void called.set(one.kind, one)
    const scope = new RunScope({ run, definition, input: given, durable, log, patiently, onCalled })
    const returned = await definition.run(given, scope)
    const unused = durable.unused()
    if (unused.length > 0)
      logger.warn(
        { processId: record.id, unused },
        'a process did not ask for something it had recorded; its code may have changed',
      )
    return outputOf(definition, returned)
  }
}

async function outputOf({ kind, output }: ProcessDefinition, returned: unknown): Promise<AwaitOutput> {
  try {
    await checked(output, returned, `output of ${kind}`)
    return { type: 'success', value: encodeValue(returned, `output of ${kind}`) ?? null }
  } catch (refusal) {
    if (refusal instanceof InvalidInputError) return { ...failureOf(refusal), code: 'process_output_refused' }
    throw refusal
  }
}

async function checked(schema: Schema | undefined, value: unknown, subject: string): Promise<unknown> {
  return schema === undefined ? value : checkValue(schema, value, subject)
}

function payloadOf({ input }: ProcessRecord): JsonValue {
  return input.type === 'engine' ? input.payload : null
}

/** A thrown error, as the failure of the process. */
function failureOf(thrown: unknown): AwaitOutput & { readonly type: 'failure' } {
  const details = errorDetailsOf(thrown)
  const { code = 'process_failed', message } = details
  return { type: 'failure', class: 'execution', code, message, raw: details as unknown as JsonValue }
}
