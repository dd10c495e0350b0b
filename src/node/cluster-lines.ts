import type { ErrorDetails } from '../base/error-details.js'
import { defineLine } from '../base/log-lines.js'

export const clusterUnreachable = defineLine<{ readonly error: string; readonly cause: ErrorDetails }>(
  'warn',
  'the node could not reach its cluster and retries',
)

export const clusterRefused = defineLine<{ readonly error: string; readonly cause: ErrorDetails }>(
  'error',
  'the cluster of the node cannot be used',
)

export const commitsUnread = defineLine<{ readonly error: string; readonly cause: ErrorDetails }>(
  'error',
  'the node could not read the shared commits and retries',
)

export const rowUnreadable = defineLine<{
  readonly field: string
  readonly reason: string | undefined
  readonly rows: number
}>('error', 'the node cannot read rows of its cluster and continues without them')

export const logWentBack = defineLine<{ readonly read: number; readonly last: number }>(
  'error',
  'the log of the cluster is shorter than what the node has read, so it is read again from the beginning',
)

export const clusterReached = defineLine<{ readonly afterMs: number }>('info', 'the node has reached its cluster again')

export const leaseAcquired = defineLine<{ readonly subject: string; readonly fence: number }>(
  'info',
  'the node has acquired a lease',
)

export const leaseLost = defineLine<{ readonly subject: string; readonly fence: number; readonly reason: string }>(
  'warn',
  'the node has lost a lease and ends the work under it',
)

export const memberSuperseded = defineLine<{ readonly node: string }>(
  'error',
  'another process has taken over this node, which holds no leases now',
)

export const commitUnreadable = defineLine<{ readonly sequence: number }>(
  'error',
  'a malformed shared commit is skipped',
)
