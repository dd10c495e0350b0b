import type { OperationSource } from '../../machines/operation-vocabulary.js'

/** The longest session, peer or endpoint name that is accepted, in UTF-16 units. */
export const longestName = 256

/** Which part of a source is wrong, and why. */
export interface SourceProblem {
  readonly field: string
  readonly reason: string
}

/** True for a name that can be shown: not blank, no control characters, not too long. */
export function isPlainName(value: unknown): value is string {
  return typeof value === 'string' && value.trim() !== '' && value.length <= longestName && !/\p{Cc}/u.test(value)
}

/** What keeps a source from being one of the exact shapes of spec operations 1.3; nothing when it is. */
export function sourceProblem(source: OperationSource): SourceProblem | undefined {
  switch (source.kind) {
    case 'session_child':
      return isPlainName(source.sessionId) ? undefined : problem('sessionId')
    case 'backend_peer': {
      if (!isPlainName(source.peerId)) return problem('peerId')
      const { transport, endpoint } = (source.address as typeof source.address | undefined) ?? {}
      if (transport !== 'inproc' && transport !== 'uds' && transport !== 'tcp') return problem('address.transport')
      return isPlainName(endpoint) ? undefined : problem('address.endpoint')
    }
    default:
      return problem('kind')
  }
}

function problem(field: string): SourceProblem {
  return { field, reason: 'missing or not a plain name' }
}
