import type { ErrorDetails } from '../base/error-details.js'
import { defineLine } from '../base/log-lines.js'

export const clusterUnreachable = defineLine<{ readonly error: string; readonly cause: ErrorDetails }>(
  'warn',
  'a node could not reach its cluster, and tries again',
)

export const clusterRefused = defineLine<{ readonly error: string; readonly cause: ErrorDetails }>(
  'error',
  'a node cannot use its cluster as it is',
)

export const commitsUnread = defineLine<{ readonly error: string; readonly cause: ErrorDetails }>(
  'error',
  'a node could not read the commits of its cluster, and tries again',
)

export const rowUnreadable = defineLine<{
  readonly field: string
  readonly reason: string | undefined
  readonly rows: number
}>('error', 'a node cannot read rows of its cluster, and goes on without them')

export const logWentBack = defineLine<{ readonly read: number; readonly last: number }>(
  'error',
  'the log of a cluster ends before the position of a node, which reads it again from the beginning',
)

export const clusterReached = defineLine<{ readonly afterMs: number }>('info', 'a node has reached its cluster again')

export const leaseAcquired = defineLine<{ readonly subject: string; readonly fence: number }>(
  'info',
  'a node has acquired a lease',
)

export const leaseLost = defineLine<{ readonly subject: string; readonly fence: number; readonly reason: string }>(
  'warn',
  'a node has lost a lease, and ends what runs under it',
)

export const memberSuperseded = defineLine<{ readonly node: string }>(
  'error',
  'another process has taken the place of this node, which holds no leases any more',
)

export const commitUnreadable = defineLine<{ readonly sequence: number }>(
  'error',
  'a shared commit cannot be read, and is skipped',
)
