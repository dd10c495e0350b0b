import * as v from 'valibot'
import { strictSchema } from '../base/options.js'
import type { ProcessRecord } from './record.js'
import { nameSchema, type ProcessId } from './scalars.js'

/** How a handle is displayed. */
export interface HandleDescriptor {
  readonly kind?: string
  readonly label?: string
}

/** The right of a session to address a process. It is not ownership, and a process may have any number of them. */
export interface HandleGrant {
  readonly sessionId: string
  /** The scope of the session, or of one agent frame of it. */
  readonly scopeId: string
  readonly processId: ProcessId
  readonly descriptor: HandleDescriptor
}

/** A handle and its process. */
export type GrantEntry = readonly [HandleGrant, ProcessRecord]

/** What deleting a session did to processes. Ids are sorted and unique. Ended processes are in neither list. */
export interface SessionDeleteReport {
  readonly sessionId: string
  readonly revokedHandleCount: number
  readonly deletedWakeCount: 0
  /** Processes that no session has a handle on any more. */
  readonly orphanedProcessIds: readonly ProcessId[]
  /** Processes that other sessions still have a handle on. */
  readonly preservedProcessIds: readonly ProcessId[]
}

/** The shape of a {@link HandleDescriptor}. */
export const descriptorSchema: v.GenericSchema<unknown, HandleDescriptor> = strictSchema({
  kind: v.exactOptional(nameSchema),
  label: v.exactOptional(nameSchema),
})

/** Compares grants of one process, by session, then by scope. */
export function compareGrants(one: HandleGrant, other: HandleGrant): number {
  return compareText(one.sessionId, other.sessionId) || compareText(one.scopeId, other.scopeId)
}

/** Compares ids by bytes. They are ASCII. */
export function compareText(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0
}
