import type { JsonValue } from '../../base/json.js'
import type { Schema } from '../../work/values.js'
import type { ToolResult } from '../wire/shapes.js'
import type { McpTask } from './mcp-task.js'

/** Whether a tool runs as a task for those who do not speak of tasks, too. */
export type TaskSupport = 'optional' | 'required'

/**
 * What may be done with a task whose server was lost. `rerun`: its function starts again, at most so often in all. `report`: it is
 * started once, and fails when it was lost. `external`: nothing is run here; somebody else says what has become of it.
 */
export type McpRecovery = { readonly rerun: number } | 'report' | 'external'

/** A tool whose calls are tasks, as the life of tasks needs it. */
export interface DurableTool {
  readonly name: string
  readonly taskSupport: TaskSupport
  readonly recovery: McpRecovery
  readonly ttlMs: number | null
  readonly pollIntervalMs: number
  readonly outputSchema?: Schema
  readonly run: (args: unknown, task: McpTask) => unknown
  /**
   * For `external`: brings the work about, again after a restart; must do so once for each id. Is given the arguments as they came,
   * as it checks them itself.
   */
  readonly begin?: (args: JsonValue, taskId: string) => Promise<ToolResult>
  /** For `external`: asks the work to end. */
  readonly cancel?: (taskId: string) => Promise<void>
}
