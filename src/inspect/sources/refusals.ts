import { StatewardError } from '../../base/errors.js'
import type { ActionName } from '../stream/protocol.js'

/** The error of a read-only source. */
export function readOnly(action: ActionName): StatewardError {
  return new StatewardError('inspector_read_only', `the inspector is read-only: ${action} is not allowed`, { action })
}

/** The error for a view that a source does not have. */
export function viewUnknown(view: string): StatewardError {
  return new StatewardError('view_unknown', `there is no view ${view} here`, { view })
}
