/** A call of a program. */
export interface ChildCommand {
  /** The program: a name looked up in the `PATH` of `env`, or a path if it contains a slash. */
  readonly command: string
  readonly args: readonly string[]
  readonly cwd: string
  /** The complete environment. */
  readonly env: NodeJS.ProcessEnv
  /** Milliseconds after which the child is asked to end. */
  readonly timeoutMs?: number
}
