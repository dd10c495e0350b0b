/**
 * What the inspector's page, the terminal and a recording are told, and what they may ask: plain JSON, whatever is looked at (a
 * running service, a data directory, a recording). The decoders are in `decode-protocol.ts`.
 *
 * All addresses are relative to the page, whose own ends in a slash after the secret token; so nothing else carries the token.
 *
 * | request | answer |
 * | --- | --- |
 * | `GET events` | Server-Sent Events: `event:` is the `type` of a {@link ServerMessage}, `data:` the message |
 * | `POST query` with a {@link ViewRequest} | the {@link View} of the same name |
 * | `POST action` with an {@link ActionRequest} | an {@link ActionAnswer} |
 * | `GET recording` | what the stream still holds, as lines of JSON: {@link RecordingLine} |
 *
 * Bodies are `application/json`. What is refused is answered by `{ code, message, data }` and a status of HTTP.
 *
 * The stream begins with `hello`, then come `entries`. The `id:` of `entries` is `<number>@<stream>`; a browser that reconnects
 * sends it as `Last-Event-ID` and goes on behind it (`events?after=<number>@<stream>` does the same). What is not held any more, or was dropped
 * because this viewer was slow, is a `gap` in its place. `changed` says which views are not what they were: whoever shows one asks
 * again, at the pace of its screen. All texts are text: names and values were written by strangers.
 *
 * Instants are epoch milliseconds, durations milliseconds.
 */
export * from './protocol/version.js'
export * from './protocol/item.js'
export * from './protocol/entry.js'
export * from './protocol/message.js'
export * from './protocol/request.js'
export * from './protocol/page.js'
export * from './protocol/view.js'
export * from './protocol/room-view.js'
export * from './protocol/chart.js'
export * from './protocol/action.js'
export * from './protocol/recording-line.js'
