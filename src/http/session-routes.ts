import { StatewardError } from '../base/errors.js'
import type { OperationId } from '../../machines/operation-vocabulary.js'
import { parseUuid } from '../base/ids.js'
import type { Session } from '../operations/index.js'
import { followFeed } from './completions.js'
import type { HttpCall, HttpRoute } from './route.js'

/** The routes of sessions and their operations. */
export const sessionRoutes: readonly HttpRoute[] = [
  {
    method: 'GET',
    path: '/sessions',
    handle: ({ runtime }) => ({ status: 200, body: { sessions: Array.from(runtime.sessions(), describeSession) } }),
  },
  {
    method: 'GET',
    path: '/sessions/:session/operations',
    handle: (call) => {
      const session = sessionOf(call)
      const operations = session.operations.listOperations().map(({ id }) => describeOperation(session, id))
      return { status: 200, body: { operations, lost: session.lost } }
    },
  },
  {
    method: 'GET',
    path: '/sessions/:session/operations/:operation',
    handle: (call) => ({ status: 200, body: describeOperation(sessionOf(call), operationIdOf(call)) }),
  },
  {
    method: 'GET',
    path: '/sessions/:session/completions',
    handle: (call) => followFeed(call, sessionOf(call)),
  },
]

/**
 * The session named by `:session` in the path. Reading never creates a session. Raises `session_not_found` and
 * `invalid_input`.
 */
export function sessionOf({ runtime, params: { session: name = '' } }: HttpCall): Session {
  const session = runtime.findSession(name)
  if (session !== undefined) return session
  throw new StatewardError('session_not_found', `session not found: ${name}`, { session: name })
}

/** The id given by `:operation` in the path. Raises `invalid_input`. */
export function operationIdOf({ params }: HttpCall): OperationId {
  return parseUuid<OperationId>(params['operation'] ?? '', 'operation id')
}

/** An operation as clients see it, with its latest progress report. Raises `not_found`. */
export function describeOperation(session: Session, id: OperationId): object {
  const snapshot = session.operations.snapshot(id)
  if (snapshot === undefined) throw new StatewardError('not_found', `operation not found: ${id}`, { id })
  return { ...snapshot, progress: session.view.row(id)?.progress }
}

function describeSession(session: Session): object {
  const { id, epochId, feed, operations, lost } = session
  return {
    session: id,
    epochId,
    watermark: feed.watermark(),
    operations: operations.listOperations().length,
    lost: lost.length,
  }
}
