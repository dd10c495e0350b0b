import { defineLine } from '../base/log-lines.js'

interface OfDaemon {
  readonly daemon: string
  readonly daemonId: string
}

interface OfKind extends OfDaemon {
  readonly kind: string
}

export const daemonStarted = defineLine<OfKind>('debug', 'a daemon has started')

export const daemonAdopted = defineLine<OfKind>('info', 'a daemon started by an earlier process was adopted')

export const daemonEnded = defineLine<
  OfKind & {
    /** The error it crashed with. */
    readonly error?: string
    readonly stopCause?: string
    /** False if it did not end in time after being told to. */
    readonly inTime: boolean
  }
>('debug', 'a daemon has ended')

export const daemonDropped = defineLine<OfDaemon & { readonly signal: string; readonly error: string }>(
  'warn',
  'a daemon event could not be delivered to the node',
)
