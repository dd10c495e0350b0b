import { randomUUID } from 'node:crypto'
import { StatewardError, type OperationId } from 'stateward'
import {
  describeOperation,
  operationIdOf,
  runtimeRoutes,
  sessionOf,
  type HttpCall,
  type HttpReply,
  type HttpRoute,
} from 'stateward/http'
import * as v from 'valibot'
import { jobSchema, workOf } from './jobs.js'

const startSchema = v.strictObject({
  displayName: v.pipe(v.string(), v.trim(), v.minLength(1), v.maxLength(200)),
  job: jobSchema,
  deadlineMs: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))),
})

const cancelSchema = v.strictObject({ reason: v.optional(v.pipe(v.string(), v.maxLength(1000))) })

const idSchema = v.pipe(
  v.string(),
  v.uuid(),
  v.transform((id) => id.toLowerCase() as OperationId),
)

const waitSchema = v.strictObject({
  turnId: v.optional(v.pipe(v.string(), v.uuid())),
  operationIds: v.pipe(v.array(idSchema), v.maxLength(1000)),
})

/** Routes that change something are our own; the runtime's HTTP handler serves status and completions. */
export const routes: readonly HttpRoute[] = [
  { method: 'GET', path: '/healthz', handle: health },
  { method: 'POST', path: '/sessions/:session/operations', handle: start },
  { method: 'POST', path: '/sessions/:session/operations/:operation/cancel', handle: cancel },
  { method: 'POST', path: '/sessions/:session/wait', handle: wait },
  ...runtimeRoutes,
]

function health({ runtime: { health: journal } }: HttpCall): HttpReply {
  const isWell = journal.status === 'open'
  const closing = journal.status === 'closed'
  return { status: isWell ? 200 : 503, body: { status: isWell ? 'ok' : 'unavailable', closing, journal } }
}

async function start(call: HttpCall): Promise<HttpReply> {
  const { runtime, clock, params } = call
  const { displayName, job, deadlineMs } = await call.json(startSchema)
  const session = runtime.session(params['session'] ?? '')
  const handle = session.run(
    { kind: 'background_tool_op', displayName, sourceLabel: `agent_service/${job.type}` },
    workOf(job, clock),
    deadlineMs === undefined ? {} : { deadlineMs },
  )
  // The generated id is new, so the operation is tracked by now, or it was refused.
  if (session.operations.snapshot(handle.id) === undefined) await handle.outcome
  // From here on a crash cannot make the service forget the operation: it completes, or is reported as lost.
  await runtime.flush()
  const { status, ...rest } = runtime.health
  if (status !== 'open') throw new StatewardError('lane_poisoned', 'the journal takes no records', { status, ...rest })
  const location = `/sessions/${encodeURIComponent(session.id)}/operations/${handle.id}`
  return { status: 202, body: describeOperation(session, handle.id), headers: { location } }
}

async function cancel(call: HttpCall): Promise<HttpReply> {
  const session = sessionOf(call)
  const id = operationIdOf(call)
  const { reason } = await call.json(cancelSchema)
  await session.operations.cancelOperation(id, reason)
  return { status: 200, body: describeOperation(session, id) }
}

async function wait(call: HttpCall): Promise<HttpReply> {
  const session = sessionOf(call)
  const { turnId, operationIds } = await call.json(waitSchema)
  return { status: 200, body: await session.waitAll(turnId ?? randomUUID(), operationIds, { signal: call.signal }) }
}
