import { StatewardError } from 'stateward'

/** What a client is told when something went wrong. */
export interface ErrorReply {
  readonly status: number
  readonly body: { readonly code: string; readonly message: string; readonly data: unknown }
}

/** The status for each code that is the client's affair, or that may pass. Every other error is a fault of the service. */
const statuses: Readonly<Record<string, number>> = {
  invalid_input: 400,
  duplicate_wait_operation: 400,
  host_refused: 403,
  not_found: 404,
  route_not_found: 404,
  session_not_found: 404,
  method_not_allowed: 405,
  invalid_transition: 409,
  wait_already_active: 409,
  cursor_unknown: 409,
  feed_gap: 410,
  body_too_large: 413,
  unsupported_media_type: 415,
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
    if (status !== undefined) return { status, body: { code, message, data } }
  }
  return { status: 500, body: { code: 'internal', message: 'the service failed; see its log', data: {} } }
}
