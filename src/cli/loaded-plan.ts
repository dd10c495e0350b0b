import type { Plan } from './plan.js'

/** A plan that was read from a file, with its environment. */
export interface LoadedPlan {
  readonly plan: Plan
  /** Directory that the tools' directories are relative to. */
  readonly home: string
  /** Environment variables of the runner. */
  readonly environment: Readonly<NodeJS.ProcessEnv>
  /** The variables of the plan, with references replaced by values. */
  readonly env: Readonly<Record<string, string>>
}
