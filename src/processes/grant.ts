import * as v from 'valibot'
import { strictSchema } from '../base/options.js'
import type { ProcessRecord } from './record.js'
import { nameSchema, type ProcessId } from './scalars.js'

/** What a handle is shown as. */
export interface HandleDescriptor {
  readonly kind?: string
  readonly label?: string
}

/** A session can address a process; that is no ownership, and a process may have any number of them. */
export interface HandleGrant {
  readonly sessionId: string
  /** Of the session, or of one frame of it. */
  readonly scopeId: string
  readonly processId: ProcessId
  readonly descriptor: HandleDescriptor
}

/** A handle together with its process. */
export type GrantEntry = readonly [HandleGrant, ProcessRecord]

/** What deleting a session did to processes. Ids are sorted and unique; processes that have ended are in neither list. */
export interface SessionDeleteReport {
  readonly sessionId: string
  readonly revokedHandleCount: number
  readonly deletedWakeCount: 0
  /** Nobody has a handle on them any more. */
  readonly orphanedProcessIds: readonly ProcessId[]
  /** Others still have one. */
  readonly preservedProcessIds: readonly ProcessId[]
}

/** The shape of a {@link HandleDescriptor}. */
export const descriptorSchema: v.GenericSchema<unknown, HandleDescriptor> = strictSchema({
  kind: v.exactOptional(nameSchema),
  label: v.exactOptional(nameSchema),
})

/** The order of the grants of one process: by session, then by scope. */
export function compareGrants(one: HandleGrant, other: HandleGrant): number {
  return compareText(one.sessionId, other.sessionId) || compareText(one.scopeId, other.scopeId)
}

/** The order of ids: by bytes, since they are ASCII. */
export function compareText(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0
}
