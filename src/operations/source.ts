import type { OperationSource, PeerAddress } from '../../machines/operation-vocabulary.js'

/** Maximum length of a session, peer or endpoint name, in UTF-16 units. */
export const longestName = 256

/** The invalid field of a source, and the reason. */
export interface SourceProblem {
  readonly field: string
  readonly reason: string
}

/** True for a displayable name: not blank, no control characters, not too long. */
export function isPlainName(value: unknown): value is string {
  return typeof value === 'string' && value.trim() !== '' && value.length <= longestName && !/\p{Cc}/u.test(value)
}

/** The fields of each shape; a source that has a field of another shape is refused. */
const partsOf: Readonly<Record<OperationSource['kind'], readonly string[]>> = {
  session_child: ['kind', 'sessionId'],
  backend_peer: ['kind', 'peerId', 'address'],
}

/** The reason why a source does not have one of the exact shapes of O-3; `undefined` if it does. */
export function sourceProblem(source: OperationSource): SourceProblem | undefined {
  switch (source.kind) {
    case 'session_child':
      return isPlainName(source.sessionId) ? foreignPart(source) : problem('sessionId')
    case 'backend_peer': {
      if (!isPlainName(source.peerId)) return problem('peerId')
      const address: Partial<PeerAddress> = (source as Partial<typeof source>).address ?? {}
      const { transport, endpoint } = address
      if (transport !== 'inproc' && transport !== 'uds' && transport !== 'tcp') return problem('address.transport')
      if (!isPlainName(endpoint)) return problem('address.endpoint')
      const foreign = Object.keys(address).find((part) => part !== 'transport' && part !== 'endpoint')
      return foreign === undefined
        ? foreignPart(source)
        : { field: `address.${foreign}`, reason: 'not a part of an address' }
    }
    default:
      return { field: 'kind', reason: 'not a kind of source' }
  }
}

function foreignPart(source: OperationSource): SourceProblem | undefined {
  const field = Object.keys(source).find((part) => !partsOf[source.kind].includes(part))
  return field === undefined ? undefined : { field, reason: `not a part of ${source.kind}` }
}

function problem(field: string): SourceProblem {
  return { field, reason: 'missing or not a plain name' }
}
