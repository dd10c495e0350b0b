import type { ErrorDetails } from '../../../base/error-details.js'
import { defineLine } from '../../../base/log-lines.js'

interface Fault {
  readonly error: string
  readonly cause: ErrorDetails
}

export const socketOpened = defineLine<{ readonly path: string; readonly operators: number }>(
  'info',
  'the node accepts operator requests',
)

export const socketFailed = defineLine<Fault>('error', 'the admin socket of the node has failed')

export const requestFailed = defineLine<Fault>('error', 'an operator request has failed')
