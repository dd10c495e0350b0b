import type { ErrorDetails } from '../../../base/error-details.js'
import { defineLine } from '../../../base/log-lines.js'

interface Fault {
  readonly error: string
  readonly cause: ErrorDetails
}

export const socketOpened = defineLine<{ readonly path: string; readonly operators: number }>(
  'info',
  'a node listens for its operators',
)

export const socketFailed = defineLine<Fault>('error', 'the admin socket of a node has failed')

export const requestFailed = defineLine<Fault>('error', 'a request of an operator has failed')
