import { StatewardError } from '../base/errors.js'
import { constructionMessages, isRefusal } from '../tasks/errors.js'
import type { HttpReply } from './route.js'

/**
 * The HTTP status for each code that is the client's fault or may be temporary. Every other error is a failure of the
 * service.
 */
const statuses: Readonly<Record<string, number>> = {
  invalid_input: 400,
  malformed_request: 400,
  duplicate_wait_operation: 400,
  unauthorized: 401,
  forbidden: 403,
  host_refused: 403,
  inspector_read_only: 403,
  origin_refused: 403,
  not_found: 404,
  route_not_found: 404,
  session_not_found: 404,
  unknown_run: 404,
  unknown_subscription: 404,
  unknown_task: 404,
  view_unknown: 404,
  method_not_allowed: 405,
  request_timeout: 408,
  answer_too_late: 409,
  cursor_unknown: 409,
  invalid_transition: 409,
  kind_mismatch: 409,
  session_exists: 409,
  wait_already_active: 409,
  feed_gap: 410,
  no_longer_retained: 410,
  body_too_large: 413,
  target_too_long: 414,
  unsupported_media_type: 415,
  headers_too_large: 431,
  client_gone: 499,
  channel_closed: 503,
  lane_closed: 503,
  lane_durability_unknown: 503,
  lane_lost: 503,
  lane_not_appended: 503,
  lane_poisoned: 503,
  max_concurrent_exceeded: 503,
  owner_retired: 503,
  runtime_closed: 503,
  too_many_streams: 503,
}

/**
 * Turns anything that was thrown into a reply `{ code, message, data }` with a fitting status. A failure of the service
 * is 500 and shows no details.
 */
export function replyToError(thrown: unknown): HttpReply {
  const status = StatewardError.is(thrown) ? statusOf(thrown) : undefined
  if (status === undefined) {
    return { status: 500, body: { code: 'internal', message: 'the service failed; see its log', data: {} } }
  }
  const { code, message, data } = thrown as StatewardError
  return { status, body: { code, message, data: data ?? {} }, headers: headersFor(code, data) }
}

function statusOf(error: StatewardError): number | undefined {
  const { code } = error
  if (Object.hasOwn(statuses, code)) return statuses[code]
  if (Object.hasOwn(constructionMessages, code)) return 400
  return isRefusal(error) ? 409 : undefined
}

/** A refusal tells the client how to ask instead (RFC 9110, 11.6.1 and 15.5.6). */
function headersFor(code: string, data: unknown): Record<string, string> {
  if (code === 'unauthorized') return { 'www-authenticate': 'Bearer' }
  if (code !== 'method_not_allowed') return {}
  return { allow: (data as { readonly allowed: readonly string[] }).allowed.join(', ') }
}
