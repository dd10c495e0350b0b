import * as restate from '@restatedev/restate-sdk'
import { systemClock } from '../base/clock.js'
import { errorDetailsOf } from '../base/error-details.js'
import { StatewardError } from '../base/errors.js'
import type { JsonValue } from '../base/json.js'
import { ProcessError, type AwaitOutput, type LeaseOwner, type ProcessDefinition } from '../processes/index.js'
import { EngineWaits } from './engine-waits.js'
import type { ProcessObject } from './process-object.js'
import { ProcessScope } from './process-scope.js'
import type { RetryPolicy } from './retry.js'
import { runAbsent, runIn, workflowOptions, writeEnd, type Ran } from './run.js'
import type { ClaimStep, RowEnded } from './run-scope.js'
import { processesService, processService } from './services.js'
import { door, runSchema, type RunRequest } from './wire.js'

/** Options shared by the workflows of a worker. */
export interface WorkflowOptions {
  /** The definitions of processes that it runs, by kind. */
  readonly definitions: ReadonlyMap<string, ProcessDefinition>
  readonly owner: LeaseOwner
  readonly claim: ClaimStep
  readonly ended: RowEnded
  readonly retryPolicy: RetryPolicy
  /** How long the engine keeps the result of a run, in milliseconds. */
  readonly retentionMs: number
}

const processes = { name: processesService } as ProcessObject

/**
 * One process, as a workflow under its id whose result is the output of the process. The end is written to the feed
 * first, and the workflow answers with the feed's version, so waiters get the same answer as the feed.
 */
export function processWorkflow({ definitions, owner, claim, ended, retryPolicy, retentionMs }: WorkflowOptions) {
  return restate.workflow({
    name: processService,
    handlers: {
      run: door(
        runSchema,
        'process',
        async (ctx: restate.WorkflowContext, request: RunRequest): Promise<AwaitOutput> => {
          const { id, kind, envRef, disposition, owner: key } = request
          const definition = definitions.get(kind)
          const place = { service: processesService, key }
          const waits = new EngineWaits()
          const over = new ProcessError('process.run_stopped', { processId: id, cause: 'ended' })
          const ran =
            definition?.envRef === envRef
              ? await runIn<ProcessScope>({ name: kind, over, ...definition }, request.input, (input) => {
                  const scope = { ctx, id, place, disposition, definitions, owner, claim, ended, waits }
                  return new ProcessScope(scope, definition, input)
                })
              : await runAbsent(ctx, `no process ${kind} of this version is defined here`)
          const { fencingToken } = ran
          const end = { id, output: await outputOf(ctx, waits, ran), ...(fencingToken > 0 && { fencingToken }) }
          const { output } = await writeEnd(
            ctx,
            waits,
            () => ctx.objectClient(processes, key).end(end),
            (refusal) => StatewardError.is(refusal, 'process.lease_superseded'),
          )
          return output
        },
      ),
    },
    options: workflowOptions(retryPolicy, retentionMs),
  })
}

async function outputOf(ctx: restate.WorkflowContext, waits: EngineWaits, ran: Ran): Promise<AwaitOutput> {
  switch (ran.type) {
    case 'returned':
      return { type: 'success', value: ran.value ?? null }
    case 'threw':
      return failureOf(ran.thrown)
    case 'input_refused':
      return { ...failureOf(ran.refusal), class: 'invalid_request' }
    case 'output_refused':
      return { ...failureOf(ran.refusal), code: 'process_output_refused' }
    case 'cancelled':
      return { type: 'cancelled', message: 'cancelled' }
    case 'refused': {
      const writer = ran.refusal.code === 'process.attempts_exhausted' ? 'engine_gave_up' : 'sweep'
      return {
        type: 'abandoned',
        evidence: { writer, epochMs: await waits.on(ctx.run('now', () => Math.trunc(systemClock.wallNow()))) },
      }
    }
  }
}

function failureOf(thrown: unknown): AwaitOutput & { readonly type: 'failure' } {
  // Its place in the code differs from worker to worker, and the journal must not.
  const { stack: _, ...details } = errorDetailsOf(thrown)
  const { code = 'process_failed', message } = details
  return { type: 'failure', class: 'execution', code, message, raw: details as unknown as JsonValue }
}
