import type { ProcessCommand } from './command.js'
import { ProcessError } from './errors.js'
import { initialState, recordOf, type ProcessRecord, type StoredProcess } from './record.js'
import type { TakenRegistration } from './registration.js'

/**
 * Registers a process, or finds an equal registration (P-2). A pruned id may be registered again: its tombstone is
 * removed, and its sequences and fencing tokens start over.
 */
export function registerCommand({
  registered,
  wakeTarget,
  registrationHash,
}: TakenRegistration): ProcessCommand<ProcessRecord> {
  const { id: processId } = registered
  return {
    processId,
    decide: ({ process: found }, { nowMs }) => {
      if (found !== undefined) {
        const { registrationHash: stored } = found
        if (stored === registrationHash) return { result: recordOf(found) }
        throw new ProcessError('process.registration_conflict', { processId, stored, provided: registrationHash })
      }
      const process: StoredProcess = {
        registered,
        registrationHash,
        createdAtMs: nowMs,
        ...(wakeTarget !== undefined && { wakeTarget }),
        state: initialState(nowMs),
      }
      return { writes: { register: process }, process, result: recordOf(process) }
    },
  }
}
