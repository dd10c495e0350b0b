import type { ErrorDetails } from '../base/error-details.js'
import { defineLine } from '../base/log-lines.js'

export const portFailed = defineLine<{ readonly port: string; readonly error: string; readonly cause: ErrorDetails }>(
  'warn',
  'a component of the node has failed',
)

export const actionsDropped = defineLine<{ readonly dropped: number; readonly first: string }>(
  'warn',
  'actions were dropped because the executor of the node is full',
)

export const commitRefused = defineLine<{ readonly event: string; readonly kind: string; readonly error: string }>(
  'warn',
  'an operator request was refused',
)

export const transitionRefused = defineLine<{ readonly from: string; readonly to: string }>(
  'warn',
  'an observed transition does not match the state of the node',
)

export const recordLost = defineLine<{ readonly chain: string; readonly error: string; readonly cause: ErrorDetails }>(
  'warn',
  'a record of the node could not be written',
)

export const checkpointLost = defineLine<{ readonly error: string; readonly cause: ErrorDetails }>(
  'error',
  'a checkpoint of the node could not be written',
)

export const loopFailed = defineLine<{ readonly error: string; readonly cause: ErrorDetails }>(
  'error',
  'the loop of the node has failed',
)
