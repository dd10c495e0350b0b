import { StatewardError } from '../base/errors.js'
import { isSuperseded } from './claim.js'
import type { ProcessId } from './scalars.js'

/** Why a process was not taken. */
export type Disposition =
  /** Another holder is working on it, or this worker already is. */
  | { readonly type: 'busy' }
  /** It was pruned in the meantime. */
  | { readonly type: 'absent' }
  /** It has ended in the meantime. */
  | { readonly type: 'settled_by_peer' }
  /** It was ended here without being run. */
  | { readonly type: 'already_applied' }
  | { readonly type: 'lease_lost' }
  | { readonly type: 'externally_owned' }
  /** Bound to an owner that may still be working. */
  | { readonly type: 'owner_bound' }
  /** This host cannot run it. */
  | { readonly type: 'kind_unknown' }
  | { readonly type: 'backend_error'; readonly operation: string }

/** A process that was not taken. */
export interface Deferral {
  readonly processId: ProcessId
  readonly disposition: Disposition
}

/** What a scan has done. Admitted processes have started, but not ended. */
export interface DriveReport {
  /** `coalesced`: a scan was already running, and another one follows it. */
  readonly intake: 'scanned' | 'coalesced'
  readonly admitted: readonly ProcessId[]
  readonly deferred: readonly Deferral[]
}

/** What draining has done. */
export interface DrainReport {
  /** In the order in which they were abandoned. */
  readonly abandoned: readonly ProcessId[]
  readonly deferred: readonly Deferral[]
}

/** What a refusal by the store says about the process. `undefined` for a fault. */
export function dispositionOf(error: unknown): Disposition | undefined {
  if (isSuperseded(error)) return { type: 'lease_lost' }
  if (StatewardError.is(error, 'process.unknown')) return { type: 'absent' }
  return undefined
}
