import * as v from 'valibot'
import { isSameJson } from '../base/json-copy.js'
import type { JsonValue } from '../base/json.js'
import { strictSchema } from '../base/options.js'
import type { StoredProcess } from './record.js'
import { idSchema, jsonSchema, nameSchema, naturalSchema, take } from './scalars.js'
import { originatorIdOf } from './scope.js'
import { processStatuses, type ProcessStatus } from './vocabulary.js'

/** Which processes to list. All given conditions must hold. */
export interface ProcessListFilter {
  /** Default `running`. */
  readonly status?: ProcessStatus | 'any'
  /** Equal to the definition of the identity. */
  readonly definition?: JsonValue
  readonly waiting?: boolean
  /** `host`, or the id of a session's scope. */
  readonly originatorId?: string
  readonly identityKind?: string
  readonly identityLabel?: string
  readonly causedByOccurrenceId?: string
  /** Inclusive, epoch milliseconds. */
  readonly createdAtStartMs?: number
  /** Exclusive, epoch milliseconds. */
  readonly createdAtEndMs?: number
}

const filterSchema: v.GenericSchema<unknown, ProcessListFilter> = strictSchema({
  status: v.exactOptional(v.picklist([...processStatuses, 'any'])),
  definition: v.exactOptional(jsonSchema),
  waiting: v.exactOptional(v.boolean()),
  originatorId: v.exactOptional(v.string()),
  identityKind: v.exactOptional(nameSchema),
  identityLabel: v.exactOptional(nameSchema),
  causedByOccurrenceId: v.exactOptional(idSchema),
  createdAtStartMs: v.exactOptional(naturalSchema),
  createdAtEndMs: v.exactOptional(naturalSchema),
})

/** Checks and copies a filter. Raises `invalid_input` naming the field. */
export function takeFilter(input: unknown): ProcessListFilter {
  return take(filterSchema, input, 'process list filter')
}

/** Whether the filter asks only for running processes or for all. */
export function modeOf({ status = 'running' }: ProcessListFilter): 'live' | 'all' {
  return status === 'running' ? 'live' : 'all'
}

/** Whether every process in the mode matches, so that none has to be checked. */
export function isWholeMode(filter: ProcessListFilter): boolean {
  const { status = 'running', ...more } = filter
  return (status === 'running' || status === 'any') && Object.values(more).every((value) => value === undefined)
}

/** Whether a process matches. A store that uses indexes must give the same answer (P-62). */
export function matches(filter: ProcessListFilter, { registered, createdAtMs, state }: StoredProcess): boolean {
  const { status = 'running', definition, waiting, originatorId, identityKind, identityLabel } = filter
  const { causedByOccurrenceId, createdAtStartMs, createdAtEndMs } = filter
  const { identity, provenance } = registered
  return (
    (status === 'any' || state.status === status) &&
    (waiting === undefined || (state.wait !== undefined) === waiting) &&
    (definition === undefined || isSameJson(identity.definition, definition)) &&
    (originatorId === undefined || originatorIdOf(provenance.originator) === originatorId) &&
    (identityKind === undefined || identity.kind === identityKind) &&
    (identityLabel === undefined || identity.label === identityLabel) &&
    (causedByOccurrenceId === undefined || isCausedBy(provenance.causedBy, causedByOccurrenceId)) &&
    (createdAtStartMs === undefined || createdAtMs >= createdAtStartMs) &&
    (createdAtEndMs === undefined || createdAtMs < createdAtEndMs)
  )
}

function isCausedBy(cause: StoredProcess['registered']['provenance']['causedBy'], occurrenceId: string): boolean {
  return cause?.type === 'trigger_occurrence' && cause.id === occurrenceId
}
