import type { Plan } from './plan.js'

/** A plan that was read, and what surrounds it. */
export interface LoadedPlan {
  readonly plan: Plan
  /** Folder that the directories of its tools are relative to. */
  readonly home: string
  /** Environment of the runner. */
  readonly environment: Readonly<NodeJS.ProcessEnv>
  /** The variables of the plan with values in place of references. */
  readonly env: Readonly<Record<string, string>>
}
