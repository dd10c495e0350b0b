import type { ActionAnswer, ActionRequest, ServerMessage, View, ViewRequest } from '../stream/protocol.js'

/** A message to a viewer. */
export interface SourceMessage {
  readonly type: ServerMessage['type']
  /** The id with which the viewer resumes. */
  readonly id?: string
  /** The message as JSON. */
  readonly json: string
}

/** Something to inspect: a running service, a directory, a recording, or another inspector. */
export interface InspectorSource extends AsyncDisposable {
  /**
   * The messages after `after` (the id of an earlier message), until the signal aborts or the source ends. Messages are
   * built on demand.
   */
  follow(after: string | undefined, signal: AbortSignal): AsyncIterable<SourceMessage>
  /** Answers a request. Rejects with `invalid_input`, and with `view_unknown` for a view that it does not have. */
  view(request: ViewRequest): Promise<View>
  /** Carries out an action. Rejects with `inspector_read_only`, and with the errors of the room. */
  act(request: ActionRequest): Promise<ActionAnswer>
  /** The content of the stream, as lines. */
  recording(): AsyncIterable<Uint8Array>
}
