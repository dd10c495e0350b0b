import * as restate from '@restatedev/restate-sdk'
import { errorDetailsOf } from '../base/error-details.js'
import { StatewardError } from '../base/errors.js'
import type { OperationId, OperationOutcome, TerminalAction } from '../../machines/index.js'
import { EngineWaits } from './engine-waits.js'
import type { OperationDefinition } from './operation-definition.js'
import { OperationScope, type SendReport } from './operation-scope.js'
import type { WorkflowOptions } from './process-workflow.js'
import { runAbsent, runIn, workflowOptions, writeEnd, type Ran } from './run.js'
import type { RowPlace } from './run-scope.js'
import { operationService, sessionService } from './services.js'
import type { SessionObject } from './session-object.js'
import { operationRunSchema, type OperationAnswer, type OperationRunRequest } from './session-wire.js'
import { door } from './wire.js'

/** Options of the workflow of operations. */
export interface OperationWorkflowOptions extends WorkflowOptions {
  /** The definitions that it runs, by name. */
  readonly operations: ReadonlyMap<string, OperationDefinition>
  /** Sends a step's progress report to the row of its operation. */
  readonly report: (place: RowPlace, id: OperationId, ...report: Parameters<SendReport>) => ReturnType<SendReport>
}

const session = { name: sessionService } as SessionObject

/**
 * The work of one operation, as a workflow under its session and id. The end is written to the feed first, and the workflow answers
 * with the feed's version, so waiters get the same answer as the feed.
 */
export function operationWorkflow(options: OperationWorkflowOptions) {
  const { definitions, operations, owner, claim, ended: rowEnded, report, retryPolicy, retentionMs } = options
  return restate.workflow({
    name: operationService,
    handlers: {
      run: door(
        operationRunSchema,
        'operation',
        async (ctx: restate.WorkflowContext, request: OperationRunRequest): Promise<OperationAnswer> => {
          const { id, session: key, work } = request
          const { name, disposition } = work
          const definition = operations.get(name)
          const place = { service: sessionService, key }
          const waits = new EngineWaits()
          const over = new StatewardError('run_stopped', `the run of operation ${id} has ended`, { id })
          const ran =
            definition === undefined
              ? await runAbsent(ctx, `no operation ${name} is defined here`)
              : await runIn<OperationScope>({ ...definition, over }, request.input, () => {
                  const scope = { ctx, id, place, disposition, definitions, owner, claim, ended: rowEnded, waits }
                  return new OperationScope(scope, (told) => report(place, id, told))
                })
          const { fencingToken } = ran
          const { action, outcome } = endOf(id, ran)
          const end = { id, action, outcome, isRun: true, ...(fencingToken > 0 && { fencingToken }) } as const
          const ended = await writeEnd(
            ctx,
            waits,
            () => ctx.objectClient(session, key).end(end),
            (refusal) => StatewardError.is(refusal, 'lease_superseded'),
          )
          if (!ended.isFirst || ran.type !== 'returned') return { outcome: ended.outcome }
          return { outcome: ended.outcome, returned: ran.value === undefined ? {} : { value: ran.value } }
        },
      ),
    },
    options: workflowOptions(retryPolicy, retentionMs),
  })
}

/** How a run ends its operation. */
function endOf(
  id: OperationId,
  ran: Ran & { readonly scope?: OperationScope },
): { readonly action: TerminalAction; readonly outcome: OperationOutcome } {
  switch (ran.type) {
    case 'returned': {
      const { value } = ran
      const content = typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value)
      const result = { id, content, isError: false, durationMs: 0, tokensUsed: ran.scope?.tokensUsed ?? 0 }
      return { action: 'complete', outcome: { type: 'completed', result } }
    }
    case 'threw':
      return failed('threw', ran.thrown)
    case 'input_refused':
    case 'output_refused':
      return failed('refused', ran.refusal)
    case 'cancelled':
      return { action: 'cancel', outcome: { type: 'cancelled', reason: null } }
    case 'refused': {
      const reason = `it may not go on: ${ran.refusal.message}`
      return { action: 'terminate', outcome: { type: 'terminated', reason } }
    }
  }
}

function failed(reason: 'threw' | 'refused', thrown: unknown) {
  // Its place in the code differs from worker to worker, and the journal must not.
  const { stack: _, ...cause } = errorDetailsOf(thrown)
  return { action: 'fail', outcome: { type: 'failed', error: cause.message, reason, cause } } as const
}
