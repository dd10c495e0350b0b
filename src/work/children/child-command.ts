/** One call of a program. */
export interface ChildCommand {
  /** Looked up in the `PATH` of `env`, or a path when it holds a slash. */
  readonly command: string
  readonly args: readonly string[]
  readonly cwd: string
  /** The whole environment. */
  readonly env: NodeJS.ProcessEnv
  /** Milliseconds after which the child is asked to end. */
  readonly timeoutMs?: number
}
