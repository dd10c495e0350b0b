import type { InputRequest } from '../wire/shapes.js'

/** What the function of a durable tool is given beside its arguments. */
export interface McpTask {
  /** Names the task; as a key of effects outside it makes them happen once. */
  readonly taskId: string
  /** The how manyth start this is, from 1. */
  readonly attempt: number
  /** Grows with every start: a store outside that refuses lower numbers takes no late write of a lost attempt. */
  readonly fencingToken: number
  /** Aborts when the task is cancelled, and when the server goes down. */
  readonly signal: AbortSignal
  /** Says what it does now, to people; lost with the server unless it is to be durable. */
  status(text: string, options?: { readonly durable?: boolean }): Promise<void>
  /**
   * Asks the client, and resolves with the answer of each key, which may have come before. Nothing of the host is held meanwhile. The
   * same key with another request ends the task. Rejects with `mcp_question_unsupported` for what the client has not declared,
   * with `mcp_limit_reached` and with `invalid_input`.
   */
  input(requests: Readonly<Record<string, InputRequest>>): Promise<Readonly<Record<string, unknown>>>
  /** Does something once: its result is durable before it is handed out, and the same in every later attempt. */
  once<Output>(key: string, work: () => Output | PromiseLike<Output>): Promise<Output>
}
