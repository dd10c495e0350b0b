import { TaskError } from '../errors.js'
import type { Run } from '../run.js'

/**
 * Tells a superseded worker from the current one (ruling D-28). Raises `fencing_token_required` for a leased run
 * without a token, and `fencing_token_superseded` for a token that does not hold the run.
 */
export function checkToken(
  { id: runId, lease }: Run,
  provided: number | undefined,
  { isRequired }: { readonly isRequired: boolean },
): void {
  const current = lease?.fencingToken
  if (provided === undefined) {
    if (isRequired && current !== undefined) throw new TaskError('fencing_token_required', { runId })
    return
  }
  if (provided !== current) throw new TaskError('fencing_token_superseded', { runId, provided, current })
}
