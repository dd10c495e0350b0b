import { InvalidInputError } from '../base/errors.js'
import { isUuid } from '../base/ids.js'
import { expectsPeer, operationKinds, type OperationSpec } from '../../machines/operation-vocabulary.js'
import { childSessionOf } from './projection.js'
import { isPlainName, sourceProblem } from './source.js'

/** The longest display name or label, in UTF-16 units. */
export const longestLabel = 1024

/**
 * The spec as the registry keeps it: checked, frozen, its child session taken from the source.
 * Raises `invalid_input` naming the field (spec operations 3, B D10, D15).
 */
export function checkSpec(spec: OperationSpec): OperationSpec {
  const { id, kind, ownerSessionId, displayName, sourceLabel, operationSource, expectPeerChannel } = spec
  if (!isUuid(id)) refuse('id', 'not a lower-case UUID')
  if (!operationKinds.includes(kind)) refuse('kind', `not one of ${operationKinds.join(', ')}`)
  if (!isPlainName(ownerSessionId)) refuse('ownerSessionId', 'not a plain name')
  checkLabel('displayName', displayName)
  checkLabel('sourceLabel', sourceLabel)
  if (expectPeerChannel !== expectsPeer(kind)) {
    refuse(
      'expectPeerChannel',
      `contradicts the kind ${kind}, which ${expectsPeer(kind) ? 'expects' : 'has'} ${expectsPeer(kind) ? 'a' : 'no'} peer channel`,
    )
  }
  const problem = operationSource === undefined ? undefined : sourceProblem(operationSource)
  if (problem !== undefined) refuse(`operationSource.${problem.field}`, problem.reason)
  return Object.freeze({
    id,
    kind,
    ownerSessionId,
    displayName,
    sourceLabel,
    ...(operationSource !== undefined && { operationSource }),
    childSessionId: childSessionOf(operationSource),
    expectPeerChannel,
  })
}

function checkLabel(field: string, label: unknown): void {
  if (typeof label !== 'string') refuse(field, 'not a string')
  else if (label.length > longestLabel) refuse(field, `longer than ${longestLabel} characters`)
}

function refuse(field: string, reason: string): never {
  throw new InvalidInputError({ subject: 'operation spec', field, reason })
}
