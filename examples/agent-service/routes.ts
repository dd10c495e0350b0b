import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { StatewardError, type Clock, type OperationId, type Runtime, type Session } from 'stateward'
import * as v from 'valibot'
import { decode, readBody } from './body.js'
import { jobSchema, workOf } from './jobs.js'
import { readCursor, streamCompletions } from './sse.js'

/** What every route works with. */
export interface RouteContext {
  readonly runtime: Runtime
  readonly clock: Clock
  readonly maxBodyBytes: number
  readonly heartbeatMs: number
  readonly isClosing: () => boolean
}

/** One request on its way through a route. */
export interface Call {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Named parts of the path. */
  readonly params: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  /** Aborts when the client has gone before it was answered. */
  readonly signal: AbortSignal
}

/** A JSON answer; a route that has answered by itself returns nothing. */
export interface Reply {
  readonly status: number
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
}

export interface Route {
  readonly method: 'GET' | 'POST'
  /** Parts that begin with a colon match anything and are handed over as `params`. */
  readonly path: string
  readonly handle: (call: Call, context: RouteContext) => Promise<Reply | undefined> | Reply
}

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

export const routes: readonly Route[] = [
  { method: 'GET', path: '/healthz', handle: health },
  { method: 'POST', path: '/sessions/:session/operations', handle: start },
  { method: 'GET', path: '/sessions/:session/operations', handle: list },
  { method: 'GET', path: '/sessions/:session/operations/:operation', handle: getOne },
  { method: 'POST', path: '/sessions/:session/operations/:operation/cancel', handle: cancel },
  { method: 'POST', path: '/sessions/:session/wait', handle: wait },
  { method: 'GET', path: '/sessions/:session/completions', handle: completions },
]

function health(_: Call, { runtime, isClosing }: RouteContext): Reply {
  const journal = runtime.health
  const isWell = journal.status === 'open' && !isClosing()
  return { status: isWell ? 200 : 503, body: { status: isWell ? 'ok' : 'unavailable', closing: isClosing(), journal } }
}

async function start({ request, params }: Call, { runtime, clock, maxBodyBytes }: RouteContext): Promise<Reply> {
  const { displayName, job, deadlineMs } = await readBody(request, startSchema, maxBodyBytes)
  const session = runtime.session(params['session'] ?? '')
  const handle = session.run(
    { kind: 'background_tool_op', displayName, sourceLabel: `agent_service/${job.type}` },
    workOf(job, clock),
    deadlineMs === undefined ? {} : { deadlineMs },
  )
  // An id of its own making is either tracked by now or was refused.
  if (session.operations.snapshot(handle.id) === undefined) await handle.outcome
  // From here on a crash cannot make the service forget that it accepted this: it ends, or is reported as lost.
  await runtime.flush()
  const { status, ...rest } = runtime.health
  if (status !== 'open') throw new StatewardError('lane_poisoned', 'the journal takes no records', { status, ...rest })
  const location = `/sessions/${encodeURIComponent(session.id)}/operations/${handle.id}`
  return { status: 202, body: describe(session, handle.id), headers: { location } }
}

function list({ params }: Call, { runtime }: RouteContext): Reply {
  const session = existingSession(runtime, params)
  const operations = session.operations.listOperations().map(({ id }) => describe(session, id))
  return { status: 200, body: { operations, lost: session.lost } }
}

function getOne({ params }: Call, { runtime }: RouteContext): Reply {
  const session = existingSession(runtime, params)
  return { status: 200, body: describe(session, operationId(params)) }
}

async function cancel({ request, params }: Call, { runtime, maxBodyBytes }: RouteContext): Promise<Reply> {
  const session = existingSession(runtime, params)
  const id = operationId(params)
  const { reason } = await readBody(request, cancelSchema, maxBodyBytes)
  await session.operations.cancelOperation(id, reason)
  return { status: 200, body: describe(session, id) }
}

async function wait({ request, params, signal }: Call, { runtime, maxBodyBytes }: RouteContext): Promise<Reply> {
  const session = existingSession(runtime, params)
  const { turnId, operationIds } = await readBody(request, waitSchema, maxBodyBytes)
  return { status: 200, body: await session.waitAll(turnId ?? randomUUID(), operationIds, { signal }) }
}

async function completions({ request, response, params, query, signal }: Call, context: RouteContext) {
  const { runtime, clock, heartbeatMs } = context
  const session = existingSession(runtime, params)
  // A browser that reconnects repeats the address, so what it has seen since counts more.
  const lastEventId = request.headers['last-event-id'] as string | undefined
  const after = readCursor(lastEventId ?? query.get('after') ?? undefined, session)
  await streamCompletions(session, response, { after, signal, clock, heartbeatMs })
  return undefined
}

/** The operation as clients see it. Throws `not_found`. */
function describe(session: Session, id: OperationId): object {
  const snapshot = session.operations.snapshot(id)
  if (snapshot === undefined) throw new StatewardError('not_found', `operation not found: ${id}`, { id })
  return { ...snapshot, progress: session.view.row(id)?.progress }
}

function operationId(params: Call['params']): OperationId {
  return decode(idSchema, params['operation'], 'operation id')
}

/** To read must not create. Throws `session_not_found`. */
function existingSession(runtime: Runtime, { session: name }: Call['params']): Session {
  const session = name === undefined ? undefined : runtime.findSession(name)
  if (session !== undefined) return session
  throw new StatewardError('session_not_found', `session not found: ${name}`, { session: name })
}
