import { StatewardError } from 'stateward'

/** What a client is told when something went wrong. */
export interface ErrorReply {
  readonly status: number
  readonly body: { readonly code: string; readonly message: string; readonly data: unknown }
  readonly headers?: Readonly<Record<string, string>>
}

/** The status for each code that is the client's affair, or that may pass. Every other error is a fault of the service. */
const statuses: Readonly<Record<string, number>> = {
  invalid_input: 400,
  malformed_request: 400,
  duplicate_wait_operation: 400,
  host_refused: 403,
  not_found: 404,
  route_not_found: 404,
  session_not_found: 404,
  method_not_allowed: 405,
  request_timeout: 408,
  invalid_transition: 409,
  wait_already_active: 409,
  cursor_unknown: 409,
  feed_gap: 410,
  body_too_large: 413,
  unsupported_media_type: 415,
  headers_too_large: 431,
  channel_closed: 503,
  lane_closed: 503,
  lane_durability_unknown: 503,
  lane_lost: 503,
  lane_not_appended: 503,
  lane_poisoned: 503,
  max_concurrent_exceeded: 503,
  owner_retired: 503,
  runtime_closed: 503,
}

const statusByCode = new Map(Object.entries(statuses))

/** Everything there is to say about an error, for the log. */
export function detailsOf(thrown: unknown): string {
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
}

/** Turns anything that was thrown into a reply; a fault of the service shows none of its inside. */
export function replyToError(thrown: unknown): ErrorReply {
  if (StatewardError.is(thrown)) {
    const { code, message, data } = thrown
    const status = statusByCode.get(code)
    if (status !== undefined) return { status, body: { code, message, data }, headers: headersFor(thrown) }
  }
  return { status: 500, body: { code: 'internal', message: 'the service failed; see its log', data: {} } }
}

/** What Node refuses to parse, as an error of ours. */
export function toRequestError({ code, message }: NodeJS.ErrnoException): StatewardError {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new StatewardError('request_timeout', 'the request did not come in time', {})
    case 'HPE_HEADER_OVERFLOW':
      return new StatewardError('headers_too_large', 'the headers are too large', {})
    default:
      return new StatewardError('malformed_request', message, { reason: code ?? null })
  }
}

/** Who is told that a method is not allowed is to be told which ones are (RFC 9110, 15.5.6). */
function headersFor({ code, data }: StatewardError): Record<string, string> {
  if (code !== 'method_not_allowed') return {}
  return { allow: (data as { readonly allowed: readonly string[] }).allowed.join(', ') }
}
