import { parseUuid, type Brand } from '../base/ids.js'
import { checkText } from '../base/options.js'
import { TaskError } from './errors.js'

export type { AttemptId } from '../../machines/run-vocabulary.js'

/** Identifies a task; a UUID, never nil. */
export type TaskId = Brand<string, 'TaskId'>

/** Identifies one run of a task; a UUID, never nil. Text order breaks ties in selection (spec mutation authority 1.1). */
export type RunId = Brand<string, 'TaskRunId'>

/** Identifies a remote actor; a UUID. */
export type ActorId = Brand<string, 'ActorId'>

/** Identifies a tenant; a UUID. */
export type TenantId = Brand<string, 'TenantId'>

/** Identifies an entry of the tenants' ledger; a UUID. */
export type LedgerEntryId = Brand<string, 'LedgerEntryId'>

/** Identifies a subscription; a UUID. */
export type SubscriptionId = Brand<string, 'SubscriptionId'>

/** Identifies an open budget reservation; a UUID. */
export type ReservationId = Brand<string, 'ReservationId'>

/** Human label of a group of actors. */
export type DepartmentId = Brand<string, 'DepartmentId'>

/** The longest department label, in UTF-8 bytes. */
export const departmentIdMaxBytes = 128

/** Any parseable UUID in its canonical spelling; raises `invalid_input` naming `what` otherwise. */
export function parseId<Id extends string>(text: string, what = 'id'): Id {
  return parseUuid<Id>(text, what)
}

/** Checks a department label; raises `department_id_empty` or `department_id_too_long`. */
export function departmentId(label: string): DepartmentId {
  checkText('department', label)
  if (label === '') throw new TaskError('department_id_empty', {})
  const length = Buffer.byteLength(label)
  if (length > departmentIdMaxBytes) throw new TaskError('department_id_too_long', { length })
  return label as DepartmentId
}
