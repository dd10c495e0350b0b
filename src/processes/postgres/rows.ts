import * as v from 'valibot'
import { InvalidInputError, messageOf } from '../../base/errors.js'
import { deepFreeze } from '../../base/freeze.js'
import { canonicalJson } from '../../base/json-copy.js'
import type { JsonObject, JsonValue } from '../../base/json.js'
import { strictSchema } from '../../base/options.js'
import type { RecentValues } from '../../base/recent-values.js'
import type { SqlRow } from '../../postgres/index.js'
import { storedReader } from '../../state/reader.js'
import { snakeCase, wireCodec } from '../../state/wire.js'
import { ProcessError } from '../errors.js'
import { logEntrySchema, type LogEntry } from '../event.js'
import { descriptorSchema, type HandleGrant } from '../grant.js'
import { digestOf } from '../keys.js'
import { storedLeaseSchema, type StoredLease } from '../lease.js'
import { outputSchema } from '../output.js'
import { tombstoneSchema, type Tombstone } from '../pruning.js'
import { stateSchema, workableFromMs, type ProcessState, type StoredProcess } from '../record.js'
import {
  checkRegistered,
  commonSchema,
  individualSchema,
  registeredSchema,
  type CommonPart,
  type Registered,
} from '../registration.js'
import { idSchema, naturalSchema, type ProcessId } from '../scalars.js'
import { originatorIdOf, scopeSchema } from '../scope.js'
import type { TerminalState } from '../store.js'
import { isTerminalProcessStatus, processStatuses } from '../vocabulary.js'

/*
 * What is read from a row is checked in full: whoever can write to the database can write anything, and nothing is guessed
 * around it.
 */

const registeredWire = wireCodec(registeredSchema)
const readRegistered = storedReader(registeredSchema)
const readIndividual = storedReader(individualSchema)
const readCommon = storedReader(commonSchema)
const stateWire = wireCodec(stateSchema)
const readState = storedReader(stateSchema)
const entryWire = wireCodec(logEntrySchema)
const readEntry = storedReader(logEntrySchema)
const readLease = storedReader(storedLeaseSchema)
const leaseWire = wireCodec(storedLeaseSchema)
const readTombstone = storedReader(tombstoneSchema)
const readScope = storedReader(scopeSchema)
const readDescriptor = storedReader(descriptorSchema)
const descriptorWire = wireCodec(descriptorSchema)
const readGrant = storedReader(strictSchema({ sessionId: idSchema, scopeId: v.string(), processId: idSchema }))
const readStatus = storedReader(v.picklist(processStatuses))
const readOutput = storedReader(outputSchema)
const readHead = storedReader(strictSchema({ registrationHash: v.string(), createdAtMs: naturalSchema }))

/** Runs a reader, turning what it refuses into `process.stored_invalid`. */
function reading<Value>(table: string, read: () => Value): Value {
  try {
    return read()
  } catch (cause) {
    if (cause instanceof InvalidInputError) {
      const { field, reason } = cause.data
      throw new ProcessError('process.stored_invalid', { field: `${table}.${snakeCase(field)}`, reason }, { cause })
    }
    throw cause
  }
}

/** Parses the JSON text of a column. `undefined` for null. Raises `invalid_input` naming the column. */
function parse(row: SqlRow, column: string): JsonValue | undefined {
  const text = row[column]
  if (text === null || text === undefined) return undefined
  try {
    return JSON.parse(text as string) as JsonValue
  } catch (cause) {
    throw new InvalidInputError({ subject: 'row', field: column, reason: `no JSON: ${messageOf(cause)}` }, { cause })
  }
}

/** The non-null columns as one object, with wire names. */
function present(row: SqlRow, columns: readonly string[]): JsonObject {
  const found: Record<string, JsonValue> = {}
  for (const column of columns) if (row[column] !== null) found[column] = row[column] as JsonValue
  return found
}

/** The stored registration, and its columns for lookups. */
export interface RegistrationRow {
  readonly registered: string
  readonly originator_id: string
  readonly identity_kind: string
  readonly identity_label: string | undefined
  readonly definition_hash: string | undefined
  readonly caused_by_occurrence_id: string | undefined
}

/** The row of a registration, without the process id and the time. */
export function registrationRow(registered: Registered): RegistrationRow {
  const { identity, provenance } = registered
  const { originator, causedBy } = provenance
  return {
    registered: JSON.stringify(registeredWire.encode(registered)),
    originator_id: originatorIdOf(originator),
    identity_kind: identity.kind,
    identity_label: identity.label,
    definition_hash: identity.definition === undefined ? undefined : definitionHash(identity.definition),
    caused_by_occurrence_id: causedBy?.type === 'trigger_occurrence' ? causedBy.id : undefined,
  }
}

/** Equal for definitions with equal content. */
export function definitionHash(definition: JsonValue): string {
  return digestOf(definition)
}

/** Separates the individual part of a registration from the part it shares with others. */
const beforeCommon = ',"disposition":'

/** Reads a registration. Raises `process.stored_invalid`. */
export function registeredOf(row: SqlRow, commons: RecentValues<CommonPart>): Registered {
  return reading('process_registrations', () => {
    const registered = inParts(row['registered'], commons) ?? readRegistered(parse(row, 'registered'), 'registration')
    if (registered.id !== row['process_id']) {
      throw new InvalidInputError({ subject: 'row', field: 'registered.id', reason: 'not the id of its row' })
    }
    checkRegistered(registered)
    return deepFreeze(registered)
  })
}

/**
 * Reads a registration whose common part is cached, as it is for most processes. `undefined` if the text does not
 * clearly have two parts. If the text before the separator is a complete object once closed, the separator is one of
 * its fields.
 */
function inParts(text: unknown, commons: RecentValues<CommonPart>): Registered | undefined {
  if (typeof text !== 'string') return undefined
  const mark = text.lastIndexOf(beforeCommon)
  if (mark === -1) return undefined
  const rest = text.slice(mark + 1)
  try {
    const individual = readIndividual(JSON.parse(`${text.slice(0, mark)}}`), 'registration')
    let common = commons.get(rest)
    if (common === undefined) {
      common = deepFreeze(readCommon(JSON.parse(`{${rest}`), 'registration'))
      commons.set(rest, common, rest.length)
    }
    // Frozen parts come first: see `deepFreeze`.
    return { ...common, ...individual }
  } catch {
    // Whatever is wrong is reported when the registration is read as a whole.
    return undefined
  }
}

/** The changing part of a process, including the outcome if `hasOutcome`. */
export function stateRow(state: ProcessState, { hasOutcome }: { readonly hasOutcome: boolean }): object {
  const encoded = stateWire.encode(state) as JsonObject
  const { status, outcome, updated_at_ms, last_sequence, ...facets } = encoded
  return {
    updated_at_ms,
    status,
    outcome: hasOutcome && outcome !== undefined ? JSON.stringify(outcome) : undefined,
    last_sequence,
    facets: JSON.stringify(facets),
    is_waiting: state.wait !== undefined,
    workable_from_ms: workableFromMs(state),
  }
}

/** Reads a process with a known registration. Raises `process.stored_invalid`. */
export function processOf(row: SqlRow, registered: Registered): StoredProcess {
  return reading('processes', () => {
    const facets = parse(row, 'facets') as JsonObject
    const outcome = parse(row, 'outcome')
    const columns = present(row, ['status', 'updated_at_ms', 'last_sequence'])
    const state = readState({ ...facets, ...columns, ...(outcome !== undefined && { outcome }) }, 'process')
    if ((state.status === 'running') !== (state.outcome === undefined)) {
      throw new InvalidInputError({ subject: 'row', field: 'outcome', reason: `does not go with ${state.status}` })
    }
    const { registrationHash, createdAtMs } = readHead(present(row, ['registration_hash', 'created_at_ms']), 'process')
    const sessionId = row['wake_session_id']
    const frameId = row['wake_frame_id']
    const target = { session_id: sessionId, ...(frameId !== null && { agent_frame_id: frameId }) }
    const wakeTarget = sessionId === null ? undefined : readScope(target, 'wake target')
    const process = { registered, registrationHash, createdAtMs, state, ...(wakeTarget && { wakeTarget }) }
    return deepFreeze(process)
  })
}

/** Reads only the status and outcome of a process. Raises `process.stored_invalid`. */
export function terminalOf(row: SqlRow): TerminalState {
  return reading('processes', () => {
    const status = readStatus(row['status'], 'status')
    if (!isTerminalProcessStatus(status)) return { state: 'running' }
    return deepFreeze({ state: 'ended', status, output: readOutput(parse(row, 'outcome'), 'outcome') })
  })
}

/** The columns of a log entry, without the process id and the writer. */
export interface EntryRow {
  readonly sequence: number
  readonly event_type: string
  readonly payload: string
  readonly replay_key: string | undefined
  readonly semantics: string | undefined
  readonly occurred_at_ms: number
  readonly wakes: 'process' | 'own' | undefined
}

/** The row of an entry. */
export function entryRow(entry: LogEntry): EntryRow {
  const encoded = entryWire.encode(entry) as JsonObject
  const { wake } = entry.semantics ?? {}
  return {
    sequence: entry.sequence,
    event_type: entry.eventType,
    payload: JSON.stringify(encoded['payload']),
    replay_key: entry.replayKey,
    semantics: encoded['semantics'] === undefined ? undefined : JSON.stringify(encoded['semantics']),
    occurred_at_ms: entry.occurredAtMs,
    wakes: wake && (wake.target === undefined ? 'process' : 'own'),
  }
}

/** Reads an entry. Raises `process.stored_invalid`. */
export function entryOf(row: SqlRow): LogEntry {
  return reading('process_events', () => {
    const payload = parse(row, 'payload')
    const semantics = parse(row, 'semantics')
    const columns = present(row, ['sequence', 'event_type', 'replay_key', 'occurred_at_ms'])
    const stored = { ...columns, payload, ...(semantics !== undefined && { semantics }) }
    return deepFreeze(readEntry(stored, 'event'))
  })
}

/** The columns of a lease, without the process id. */
export interface LeaseRow {
  readonly fencing_token: number
  readonly owner_id: string | null
  readonly incarnation_id: string | null
  readonly liveness: string | null
  readonly lease_token: string | null
  readonly claimed_at_ms: number | null
  readonly expires_at_ms: number | null
}

/** The row of a lease. */
export function leaseRow({ fencingToken, holder }: StoredLease): LeaseRow {
  const encoded =
    holder && (leaseWire.encode({ fencingToken, holder }) as { readonly holder: { readonly owner: JsonObject } })
  const liveness = encoded?.holder.owner['liveness']
  return {
    fencing_token: fencingToken,
    owner_id: holder?.owner.ownerId ?? null,
    incarnation_id: holder?.owner.incarnationId ?? null,
    liveness: liveness === undefined ? null : canonicalJson(liveness),
    lease_token: holder?.leaseToken ?? null,
    claimed_at_ms: holder?.claimedAtMs ?? null,
    expires_at_ms: holder?.expiresAtMs ?? null,
  }
}

/** Reads a lease. `undefined` if the process never had one. Raises `process.stored_invalid`. */
export function leaseRowOf(row: SqlRow): StoredLease | undefined {
  if (row['fencing_token'] === null) return undefined
  return reading('process_leases', () => {
    const stored = present(row, ['fencing_token'])
    if (row['lease_token'] === null) return deepFreeze(readLease(stored, 'lease'))
    const liveness = parse(row, 'liveness')
    const owner = { ...present(row, ['owner_id', 'incarnation_id']), ...(liveness !== undefined && { liveness }) }
    const holder = { owner, ...present(row, ['lease_token', 'claimed_at_ms', 'expires_at_ms']) }
    return deepFreeze(readLease({ ...stored, holder }, 'lease'))
  })
}

/** The values of a grant's row. */
export function grantValues({
  scopeId,
  processId,
  sessionId,
  descriptor,
}: HandleGrant): readonly [string, ProcessId, string, string] {
  return [scopeId, processId, sessionId, JSON.stringify(descriptorWire.encode(descriptor))]
}

/** Reads a grant. Raises `process.stored_invalid`. */
export function grantOf(row: SqlRow): HandleGrant {
  return reading('process_grants', () => {
    const columns = readGrant(present(row, ['session_id', 'scope_id', 'process_id']), 'grant')
    const descriptor = readDescriptor(parse(row, 'descriptor'), 'descriptor')
    return deepFreeze({ ...columns, descriptor })
  })
}

/** Reads a tombstone. Raises `process.stored_invalid`. */
export function tombstoneRowOf(row: SqlRow): Tombstone {
  return reading('process_tombstones', () =>
    deepFreeze(readTombstone(present(row, ['process_id', 'terminal_label', 'pruned_at_ms']), 'tombstone')),
  )
}
