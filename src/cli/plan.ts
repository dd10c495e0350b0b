/** Largest plan file, in bytes. */
export const maxPlanBytes = 1024 * 1024
/** Most tools in one plan. */
export const maxTools = 1000
/** Most times that a tool is tried again by itself. */
export const maxRetries = 20

/** How a tool is expected to end; anything else is a failure. */
export type Expectation =
  | { readonly type: 'exit'; readonly exitCodes: readonly number[] }
  /** The tool runs into its `timeoutMs`. */
  | { readonly type: 'timeout' }

/** What must have become of the tools that a tool needs: all well, something failed, or whatever it was. */
export const afterPolicies = ['success', 'failure', 'always'] as const
export type AfterPolicy = (typeof afterPolicies)[number]

/** One tool call of a plan, defaults filled in. Texts are as written: see {@link expandTool} for their references. */
export interface PlannedTool {
  /** Unique within the plan. */
  readonly name: string
  readonly description?: string
  /** Looked up in `PATH`, or a path when it holds a slash. */
  readonly command: string
  readonly args: readonly string[]
  /** Relative to the plan file. */
  readonly cwd: string
  /** Added to the environment of the runner and the variables of the plan. */
  readonly env: Readonly<Record<string, string>>
  /** Names of the tools that have to end before this one starts. */
  readonly needs: readonly string[]
  /** What must have become of them. */
  readonly after: AfterPolicy
  /** The tool is skipped unless this holds; see {@link conditionHolds}. */
  readonly if?: string
  readonly timeoutMs?: number
  /** How often it is tried again after a failure, and how many milliseconds later. */
  readonly retries: number
  readonly retryDelayMs: number
  readonly expect: Expectation
  /** Reads progress from a line of output: named groups `message` and `percent` (0 to 100). */
  readonly progress?: { readonly pattern: RegExp }
}

/** A decoded plan. */
export interface Plan {
  readonly name: string
  /** How many tools run at once. */
  readonly concurrency: number
  /** Variables of every tool, as written. */
  readonly env: Readonly<Record<string, string>>
  readonly tools: readonly PlannedTool[]
}
