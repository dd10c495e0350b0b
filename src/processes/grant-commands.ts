import { known, type ProcessCommand } from './command.js'
import { ProcessError } from './errors.js'
import type { HandleDescriptor, HandleGrant } from './grant.js'
import type { ProcessId } from './scalars.js'
import { scopeIdOf, type SessionScope } from './scope.js'

/** Lets a scope address a process (P-45). */
export function grantCommand(
  scope: SessionScope,
  processId: ProcessId,
  descriptor: HandleDescriptor,
): ProcessCommand<HandleGrant> {
  const grant = grantOf(scope, processId, descriptor)
  return {
    processId,
    decide: (rows) => {
      known(processId, rows)
      return { writes: { grant }, result: grant }
    },
  }
}

/** Revokes a handle. A missing one is no error (P-45). */
export function revokeCommand(scope: SessionScope, processId: ProcessId): ProcessCommand<void> {
  const scopeId = scopeIdOf(scope)
  return {
    processId,
    scopeId,
    decide: ({ grant }) =>
      grant === undefined ? { result: undefined } : { writes: { revoke: scopeId }, result: undefined },
  }
}

/** Transfers a handle with its descriptor. Raises `process.grant_missing` if the giver has none (P-46). */
export function transferCommand(from: SessionScope, to: SessionScope, processId: ProcessId): ProcessCommand<void> {
  const [fromId, toId] = [scopeIdOf(from), scopeIdOf(to)]
  return {
    processId,
    scopeId: fromId,
    decide: ({ grant }) => {
      if (grant === undefined) {
        throw new ProcessError('process.grant_missing', { processId, sessionId: from.sessionId })
      }
      if (fromId === toId) return { result: undefined }
      const moved = grantOf(to, processId, grant.descriptor)
      return { writes: { revoke: fromId, grant: moved }, result: undefined }
    },
  }
}

function grantOf(scope: SessionScope, processId: ProcessId, descriptor: HandleDescriptor): HandleGrant {
  return Object.freeze({ sessionId: scope.sessionId, scopeId: scopeIdOf(scope), processId, descriptor })
}
