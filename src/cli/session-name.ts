import type { Plan } from './plan.js'

/** Name of the session that runs the tools of a plan. */
export function sessionNameOf({ name }: Pick<Plan, 'name'>): string {
  return `plan:${name}`
}
