import type { JsonValue } from '../../base/json.js'
import type { Schema } from '../../work/values.js'
import type { ToolResult } from '../wire/shapes.js'
import type { McpTask } from './mcp-task.js'

/** Whether hosts without task support can call a tool. */
export type TaskSupport = 'optional' | 'required'

/**
 * What happens to a task when its server is lost. `rerun`: its function starts again, up to this many starts in all.
 * `report`: it starts once, and fails if it is lost. `external`: nothing is run here; the result is reported from
 * outside.
 */
export type McpRecovery = { readonly rerun: number } | 'report' | 'external'

/** A tool whose calls are tasks, as {@link TaskLife} needs it. */
export interface DurableTool {
  readonly name: string
  readonly taskSupport: TaskSupport
  readonly recovery: McpRecovery
  readonly ttlMs: number | null
  readonly pollIntervalMs: number
  readonly outputSchema?: Schema
  readonly run: (args: unknown, task: McpTask) => unknown
  /**
   * For `external`: starts the work, again after a restart, so it must be idempotent per id. It receives the arguments
   * unchecked and checks them itself.
   */
  readonly begin?: (args: JsonValue, taskId: string) => Promise<ToolResult>
  /** For `external`: asks the work to end. */
  readonly cancel?: (taskId: string) => Promise<void>
}
