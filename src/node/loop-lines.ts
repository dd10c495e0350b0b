import type { ErrorDetails } from '../base/error-details.js'
import { defineLine } from '../base/log-lines.js'

export const portFailed = defineLine<{ readonly port: string; readonly error: string; readonly cause: ErrorDetails }>(
  'warn',
  'a port of a node has failed',
)

export const actionsDropped = defineLine<{ readonly dropped: number; readonly first: string }>(
  'warn',
  'actions of a node were dropped because its executor has no room',
)

export const commitRefused = defineLine<{ readonly event: string; readonly kind: string; readonly error: string }>(
  'warn',
  'a request of an operator was refused',
)

export const transitionRefused = defineLine<{ readonly from: string; readonly to: string }>(
  'warn',
  'an observed transition does not fit the state of the node',
)

export const recordLost = defineLine<{ readonly chain: string; readonly error: string; readonly cause: ErrorDetails }>(
  'warn',
  'a record of a node did not become durable',
)

export const checkpointLost = defineLine<{ readonly error: string; readonly cause: ErrorDetails }>(
  'error',
  'a checkpoint of a node did not become durable',
)

export const loopFailed = defineLine<{ readonly error: string; readonly cause: ErrorDetails }>(
  'error',
  'the loop of a node has failed',
)
