/**
 * What the inspector's page, the terminal and a recording receive, and what they may request: plain JSON, the same for
 * every source (a running service, a data directory, a recording). The decoders are in `decode-protocol.ts`.
 *
 * All addresses are relative to the page, whose own address ends in a slash after the secret token; no other address
 * contains the token.
 *
 * | request | answer |
 * | --- | --- |
 * | `GET events` | Server-Sent Events: `event:` is the `type` of a {@link ServerMessage}, `data:` the message |
 * | `POST query` with a {@link ViewRequest} | the {@link View} of the same name |
 * | `POST action` with an {@link ActionRequest} | an {@link ActionAnswer} |
 * | `GET recording` | what the stream still holds, as lines of JSON: {@link RecordingLine} |
 *
 * Bodies are `application/json`. A refusal is `{ code, message, data }` with an HTTP status.
 *
 * The stream begins with `hello`, followed by `entries`. The `id:` of `entries` is `<number>@<stream>`; a browser that
 * reconnects sends it as `Last-Event-ID` and continues after it (`events?after=<number>@<stream>` does the same).
 * Entries that are no longer held, or were dropped because this viewer was slow, are replaced by a `gap`. `changed`
 * names the views that have changed: a client that shows one requests it again, at its own pace. All texts are
 * untrusted and must be shown as text: names and values may come from anybody.
 *
 * Instants are epoch milliseconds, durations milliseconds.
 */
export * from './protocol/version.js'
export * from './protocol/item.js'
export * from './protocol/part.js'
export * from './protocol/entry.js'
export * from './protocol/message.js'
export * from './protocol/request.js'
export * from './protocol/page.js'
export * from './protocol/view.js'
export * from './protocol/room-view.js'
export * from './protocol/chart.js'
export * from './protocol/action.js'
export * from './protocol/recording-line.js'
