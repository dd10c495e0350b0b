import type { Plan } from './plan.js'

/** Name of the session in which the tools of a plan are run. */
export function sessionNameOf({ name }: Pick<Plan, 'name'>): string {
  return `plan:${name}`
}
