import type { InputRequest } from '../wire/shapes.js'

/** What the function of a durable tool receives in addition to its arguments. */
export interface McpTask {
  /** Identifies the task. Use it as an idempotency key so that external effects happen once. */
  readonly taskId: string
  /** Which start this is, from 1. */
  readonly attempt: number
  /** Grows with every start. An external store that refuses lower numbers rejects late writes of a lost attempt. */
  readonly fencingToken: number
  /** Aborts when the task is cancelled or the server shuts down. */
  readonly signal: AbortSignal
  /** Reports in words what the task is doing. The text is lost when the server stops, unless it is `durable`. */
  status(text: string, options?: { readonly durable?: boolean }): Promise<void>
  /**
   * Asks the client, and resolves with the answer to each key, which may have arrived before. Waiting uses none of the
   * host's slots. Asking a different question under the same key ends the task. Rejects with `mcp_question_unsupported`
   * if the client has not declared support, with `mcp_limit_reached` and with `invalid_input`.
   */
  input(requests: Readonly<Record<string, InputRequest>>): Promise<Readonly<Record<string, unknown>>>
  /** Does something once. Its result is durable before it is returned, and the same in every later attempt. */
  once<Output>(key: string, work: () => Output | PromiseLike<Output>): Promise<Output>
}
