/** Largest plan file, in bytes. */
export const maxPlanBytes = 1024 * 1024
/** Maximum number of tools in a plan. */
export const maxTools = 1000
/** Maximum number of automatic retries of a tool. */
export const maxRetries = 20

/** How a tool is expected to end; any other end is a failure. */
export type Expectation =
  | { readonly type: 'exit'; readonly exitCodes: readonly number[] }
  /** The tool runs into its `timeoutMs`. */
  | { readonly type: 'timeout' }

/**
 * How the needed tools must have ended before a tool starts: all successfully, at least one with a failure, or in any
 * way.
 */
export const afterPolicies = ['success', 'failure', 'always'] as const
export type AfterPolicy = (typeof afterPolicies)[number]

/**
 * One tool call of a plan, with defaults filled in. Texts are as written in the plan; see {@link expandTool} for their
 * references.
 */
export interface PlannedTool {
  /** Unique within the plan. */
  readonly name: string
  readonly description?: string
  /** Looked up in `PATH`, unless it contains a slash. */
  readonly command: string
  readonly args: readonly string[]
  /** Working directory, relative to the plan file. */
  readonly cwd: string
  /** Environment variables, added to those of the runner and the plan. */
  readonly env: Readonly<Record<string, string>>
  /** Names of tools that must end before this one starts. */
  readonly needs: readonly string[]
  /** How they must have ended. */
  readonly after: AfterPolicy
  /** The tool is skipped unless this condition holds; see {@link conditionHolds}. */
  readonly if?: string
  readonly timeoutMs?: number
  /** How often the tool is retried after a failure, and after how many milliseconds. */
  readonly retries: number
  readonly retryDelayMs: number
  readonly expect: Expectation
  /** Reads progress from output lines: named groups `message` and `percent` (0 to 100). */
  readonly progress?: { readonly pattern: RegExp }
}

/** A decoded plan. */
export interface Plan {
  readonly name: string
  /** How many tools run at a time. */
  readonly concurrency: number
  /** Variables of every tool, as written in the plan. */
  readonly env: Readonly<Record<string, string>>
  readonly tools: readonly PlannedTool[]
}
