import type { ActionAnswer, ActionRequest, ServerMessage, View, ViewRequest } from '../stream/protocol.js'

/** A message on its way to a viewer. */
export interface SourceMessage {
  readonly type: ServerMessage['type']
  /** What the viewer comes back with. */
  readonly id?: string
  /** The message as JSON. */
  readonly json: string
}

/** Something that can be looked at: a running service, a directory, a recording, or the inspector of somebody else. */
export interface InspectorSource extends AsyncDisposable {
  /** Messages from `after` on (an id of an earlier message), until the signal aborts or nothing follows. One is made when one is asked for. */
  follow(after: string | undefined, signal: AbortSignal): AsyncIterable<SourceMessage>
  /** Answers a request. Rejects with `invalid_input`, and with `view_unknown` for a view that is not there. */
  view(request: ViewRequest): Promise<View>
  /** Does what is asked. Rejects with `inspector_read_only`, and with what the door of the room rejects with. */
  act(request: ActionRequest): Promise<ActionAnswer>
  /** What the stream holds, as lines. */
  recording(): AsyncIterable<Uint8Array>
}
