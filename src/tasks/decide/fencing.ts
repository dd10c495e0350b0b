import { checkFencing } from '../../state/lease.js'
import { TaskError } from '../errors.js'
import type { Run } from '../run.js'

/**
 * Tells a superseded worker from the current one (ruling D-28). Raises `fencing_token_required` for a leased run
 * without a token, and `fencing_token_superseded` for a token that does not hold the run.
 */
export function checkToken(
  { id: runId, lease }: Run,
  provided: number | undefined,
  options: { readonly isRequired: boolean },
): void {
  switch (checkFencing(lease, provided, options)) {
    case 'permitted':
      return
    case 'token_required':
      throw new TaskError('fencing_token_required', { runId })
    case 'token_superseded':
      throw new TaskError('fencing_token_superseded', {
        runId,
        provided: provided as number,
        current: lease?.fencingToken,
      })
  }
}
