import * as restate from '@restatedev/restate-sdk'
import { errorDetailsOf } from '../base/error-details.js'
import { InvalidInputError, messageOf, StatewardError } from '../base/errors.js'
import type { JsonValue } from '../base/json.js'
import { ProcessError, type AwaitOutput, type LeaseOwner, type ProcessDefinition } from '../processes/index.js'
import { checkSize } from '../processes/scalars.js'
import { checkValue, decodeValue, encodeValue } from '../work/values.js'
import type { RetryPolicy } from './retry.js'
import { RestateScope, type ClaimStep } from './scope.js'
import { processService, sessionService, type SessionObject } from './session.js'
import { door, refusalIn, runSchema, type RunRequest, type SettleRequest } from './wire.js'

/** What the workflow of a worker is built on. */
export interface ProcessWorkflowOptions {
  readonly definitions: ReadonlyMap<string, ProcessDefinition>
  readonly owner: LeaseOwner
  readonly claim: ClaimStep
  readonly retryPolicy: RetryPolicy
  /** How long the engine remembers what a process has come to, in milliseconds. */
  readonly retentionMs: number
}

const session = { name: sessionService } as SessionObject

/**
 * One process: a workflow under its id, whose result is what it has come to. The end is in the session first, and the
 * workflow answers with what stands there: so whoever waits for it hears what the feed says.
 */
export function processWorkflow(options: ProcessWorkflowOptions) {
  const { definitions, retryPolicy, retentionMs } = options
  return restate.workflow({
    name: processService,
    handlers: {
      run: door(
        runSchema,
        'process',
        async (ctx: restate.WorkflowContext, request: RunRequest): Promise<AwaitOutput> => {
          const definition = definitions.get(request.kind)
          // Not a refusal: a worker that has it may be asked next.
          if (definition?.envRef !== request.envRef)
            throw new Error(`no process ${request.kind} of this version is defined here`)
          const { output, fencingToken } = await runOf(ctx, request, definition, options)
          return endOf(ctx, request.session, { id: request.id, output, ...(fencingToken > 0 && { fencingToken }) })
        },
      ),
    },
    options: {
      workflowRetention: retentionMs,
      retryPolicy,
      // Other code than the one that wrote the journal: trying again would never help.
      onJournalMismatchErrors: 'pause',
      // Left alone for a minute it is put aside; a step that takes longer must not be.
      inactivityTimeout: 60_000,
      abortTimeout: 24 * 3_600_000,
    },
  })
}

/** Writes the end of a run, and hears the one that stands. */
async function endOf(ctx: restate.WorkflowContext, key: string, end: SettleRequest): Promise<AwaitOutput> {
  for (;;) {
    try {
      return (await ctx.objectClient(session, key).end(end)).output
    } catch (thrown) {
      // Cancelled: its end was on the way, and so was another one. The first of them stands.
      if (thrown instanceof restate.CancelledError) continue
      if (!StatewardError.is(refusalIn(messageOf(thrown)), 'process.lease_superseded')) throw thrown
    }
    try {
      // Somebody outside has claimed it: whoever ends it cancels this run.
      await ctx.awakeable().promise
    } catch (thrown) {
      if (!(thrown instanceof restate.CancelledError)) throw thrown
    }
  }
}

interface Ran {
  readonly output: AwaitOutput
  readonly fencingToken: number
}

async function runOf(
  ctx: restate.WorkflowContext,
  request: RunRequest,
  definition: ProcessDefinition,
  { definitions, owner, claim }: ProcessWorkflowOptions,
): Promise<Ran> {
  const { kind } = definition
  let input = decodeValue(request.input)
  let scope: RestateScope | undefined
  try {
    try {
      if (definition.input !== undefined) input = await checkValue(definition.input, input, `input of ${kind}`)
    } catch (refusal) {
      if (!(refusal instanceof InvalidInputError)) throw refusal
      return { output: { ...failureOf(refusal), class: 'invalid_request' }, fencingToken: 0 }
    }
    scope = new RestateScope({ ctx, definition, definitions, request, input, owner, claim })
    const returned = await definition.run(input, scope)
    return { output: await ended(ctx, scope, outputOf(definition, returned)), fencingToken: scope.fencingToken }
  } catch (thrown) {
    if (thrown instanceof restate.CancelledError) {
      scope?.stop(thrown)
      return { output: { type: 'cancelled', message: 'cancelled' }, fencingToken: 0 }
    }
    const output = await ended(ctx, scope, Promise.resolve(failureOf(thrown)))
    return { output, fencingToken: scope?.fencingToken ?? 0 }
  } finally {
    scope?.stop(new ProcessError('process.run_stopped', { processId: request.id, cause: 'ended' }))
  }
}

/** What was refused the right to go on is given up, whatever its code has made of the refusal. */
async function ended(
  ctx: restate.WorkflowContext,
  scope: RestateScope | undefined,
  output: Promise<AwaitOutput>,
): Promise<AwaitOutput> {
  const refusal = scope?.refusal
  if (refusal === undefined) return output
  const writer = refusal.code === 'process.attempts_exhausted' ? 'engine_gave_up' : 'sweep'
  return { type: 'abandoned', evidence: { writer, epochMs: await ctx.date.now() } }
}

async function outputOf({ kind, output }: ProcessDefinition, returned: unknown): Promise<AwaitOutput> {
  try {
    if (output !== undefined) await checkValue(output, returned, `output of ${kind}`)
    const value = encodeValue(returned, `output of ${kind}`) ?? null
    checkSize(value, `output of ${kind}`, 'value')
    return { type: 'success', value }
  } catch (refusal) {
    if (refusal instanceof InvalidInputError) return { ...failureOf(refusal), code: 'process_output_refused' }
    throw refusal
  }
}

function failureOf(thrown: unknown): AwaitOutput & { readonly type: 'failure' } {
  // Its place in the code differs from worker to worker, and the journal must not.
  const { stack: _, ...details } = errorDetailsOf(thrown)
  const { code = 'process_failed', message } = details
  return { type: 'failure', class: 'execution', code, message, raw: details as unknown as JsonValue }
}
