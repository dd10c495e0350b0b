import * as v from 'valibot'
import { deepFreeze } from '../../base/freeze.js'
import { strictSchema } from '../../base/options.js'
import { Catalogue, type CommandOf, type EventOf } from '../../state/catalogue.js'
import { commandDefiner } from '../../state/command.js'
import type { Draft } from '../../state/draft.js'
import { eventDefiner, type Entries, type Payload } from '../../state/event.js'
import { rowDefiner } from '../../state/row.js'
import { ProcessError } from '../errors.js'
import { sharedEventTypes } from '../event-type-lists.js'
import { logEntrySchema, type LogEntry } from '../event.js'
import { compareGrants, descriptorSchema, type HandleGrant } from '../grant.js'
import { storedLeaseSchema } from '../lease.js'
import { tombstoneOf, tombstoneSchema } from '../pruning.js'
import { fold, initialState, type StoredProcess } from '../record.js'
import { checkRegistered, registeredSchema, type Registered } from '../registration.js'
import { idSchema, naturalSchema, positiveSchema, type ProcessId } from '../scalars.js'
import { scopeSchema } from '../scope.js'
import { ProcessLog } from './log.js'
import { ProcessRow, type ProcessTables } from './tables.js'

type ProcessDraft = Draft<ProcessTables, ProcessTables>

const defineEvent = eventDefiner<ProcessTables, ProcessTables>()
const defineCommand = commandDefiner<ProcessTables>()
const defineRow = rowDefiner<ProcessTables, ProcessTables>()

/** Defines a command that was already decided elsewhere and becomes an event unchanged. */
function defineFact<const Type extends string, const Fields extends Entries>(
  type: Type,
  fields: Fields,
  evolve: (draft: ProcessDraft, payload: Payload<Fields>) => void,
) {
  const event = defineEvent(type, { fields, evolve: (draft, happened) => evolve(draft, happened) })
  const command = defineCommand(type, {
    fields,
    decide: (_view, { type: _, ...payload }, sequence) => ({
      event: event.create(sequence, payload as unknown as Payload<Fields>),
      applied: undefined,
    }),
  })
  return { event, command }
}

const grantSchema: v.GenericSchema<unknown, HandleGrant> = strictSchema({
  sessionId: idSchema,
  scopeId: v.string(),
  processId: idSchema,
  descriptor: descriptorSchema,
})

const storedEntries = {
  registered: registeredSchema,
  registrationHash: v.string(),
  createdAtMs: naturalSchema,
  wakeTarget: v.exactOptional(scopeSchema),
}

const registeredFact = defineFact('process_registered', storedEntries, (draft, registration) => {
  const { tables } = draft
  const { registered, registrationHash, createdAtMs, wakeTarget } = registration
  const { id } = registered
  if (tables.processes.latest(id) !== undefined) throw corrupt('process_registered', `${id} is registered already`)
  if (tables.tombstones.latest(id) !== undefined) draft.put(tables.tombstones, id, undefined)
  const stored: StoredProcess = {
    registered: withSharedTypes(registered),
    registrationHash,
    createdAtMs,
    ...(wakeTarget !== undefined && { wakeTarget }),
    state: initialState(createdAtMs),
  }
  draft.put(tables.processes, id, new ProcessRow(stored, nextChange(draft)))
})

const changedFact = defineFact(
  'process_changed',
  {
    processId: idSchema,
    entries: v.exactOptional(v.array(logEntrySchema)),
    lease: v.exactOptional(storedLeaseSchema),
    ack: v.exactOptional(naturalSchema),
    grant: v.exactOptional(grantSchema),
    revoke: v.exactOptional(v.string()),
  },
  (draft, { processId, entries, lease, ack, grant, revoke }) => {
    const { tables } = draft
    const row = knownRow(draft, processId, 'process_changed')
    if (entries !== undefined) appendEntries(draft, row, entries)
    if (lease !== undefined) draft.put(tables.leases, processId, lease)
    if (ack !== undefined) acknowledge(draft, processId, ack)
    if (grant !== undefined || revoke !== undefined) {
      const others = (tables.grants.latest(processId) ?? []).filter(
        ({ scopeId }) => scopeId !== revoke && scopeId !== grant?.scopeId,
      )
      putGrants(draft, processId, grant === undefined ? others : [...others, grant].toSorted(compareGrants))
    }
  },
)

const sessionDetached = defineFact(
  'session_detached',
  { sessionId: idSchema, processIds: v.array(idSchema), atMs: naturalSchema },
  (draft, { sessionId, processIds, atMs }) => {
    const { tables } = draft
    for (const processId of processIds) {
      const { stored } = knownRow(draft, processId, 'session_detached')
      const grants = tables.grants.latest(processId) ?? []
      const others = grants.filter((grant) => grant.sessionId !== sessionId)
      if (others.length < grants.length) putGrants(draft, processId, others)
      if (stored.wakeTarget?.sessionId !== sessionId) continue
      const { wakeTarget: _, ...rest } = stored
      const state = { ...stored.state, updatedAtMs: atMs }
      draft.put(tables.processes, processId, new ProcessRow({ ...rest, state }, nextChange(draft)))
    }
  },
)

const processesPruned = defineFact(
  'processes_pruned',
  { processIds: v.array(idSchema), atMs: naturalSchema },
  (draft, { processIds, atMs }) => {
    const { tables } = draft
    for (const processId of processIds) {
      const { stored } = knownRow(draft, processId, 'processes_pruned')
      if (stored.state.status === 'running') throw corrupt('processes_pruned', `${processId} is running`)
      draft.put(tables.processes, processId, undefined)
      if (tables.logs.latest(processId) !== undefined) draft.put(tables.logs, processId, undefined)
      if (tables.leases.latest(processId) !== undefined) draft.put(tables.leases, processId, undefined)
      if (tables.grants.latest(processId) !== undefined) draft.put(tables.grants, processId, undefined)
      draft.put(tables.tombstones, processId, { tombstone: tombstoneOf(stored, atMs), change: nextChange(draft) })
    }
  },
)

const tombstonesCompacted = defineFact('tombstones_compacted', { processIds: v.array(idSchema) }, (draft, event) => {
  const { tables } = draft
  for (const processId of event.processIds) draft.put(tables.tombstones, processId, undefined)
})

/** The highest change number ever used, so that no number is reused after pruning. */
const changesRow = defineRow('changes', {
  fields: { last: naturalSchema },
  capture: ({ changes }) => [{ last: changes.committed }],
  restore: (draft, { last }) => draft.tables.changes.restore(last),
})

/** Makes a stored registration share its event types with equal lists, like a new one. */
function withSharedTypes(registered: Registered): Registered {
  const eventTypes = sharedEventTypes(registered.eventTypes)
  return eventTypes === registered.eventTypes ? registered : deepFreeze({ ...registered, eventTypes })
}

/** A process without the state that follows from its log. */
const processRow = defineRow('process', {
  fields: { ...storedEntries, updatedAtMs: naturalSchema, change: positiveSchema },
  *capture({ processes }) {
    for (const { stored, change } of processes.rows()) {
      const { state, ...rest } = stored
      yield { ...rest, updatedAtMs: state.updatedAtMs, change }
    }
  },
  restore: (draft, { change, updatedAtMs, wakeTarget, ...rest }) => {
    const { tables } = draft
    const { id } = rest.registered
    checkRegistered(rest.registered)
    if (tables.processes.latest(id) !== undefined) throw corrupt('process', `${id} twice`)
    if (change > tables.changes.committed) throw corrupt('process.change', `${change} was not given out yet`)
    const state = { ...initialState(rest.createdAtMs), updatedAtMs }
    const registered = withSharedTypes(rest.registered)
    const stored = { ...rest, registered, ...(wakeTarget !== undefined && { wakeTarget }), state }
    draft.put(tables.processes, id, new ProcessRow(stored, change))
  },
})

/** The log of a process. The state is rebuilt from it. */
const logRow = defineRow('log', {
  fields: { processId: idSchema, entries: v.array(logEntrySchema), acked: v.array(naturalSchema) },
  lists: ['entries', 'acked'],
  *capture({ logs }) {
    for (const [processId, log] of logs.entries()) {
      yield { processId, entries: log.after(0), acked: log.acked() }
    }
  },
  restore: (draft, { processId, entries, acked }) => {
    const { tables } = draft
    const row = knownRow(draft, processId, 'log')
    if (tables.logs.latest(processId) !== undefined) throw corrupt('log', `${processId} twice`)
    // Before the entries, because an acknowledged event no longer wakes.
    for (const sequence of acked) acknowledge(draft, processId, sequence)
    const { updatedAtMs } = row.stored.state
    const state = { ...foldAll(draft, row, entries, 'log'), updatedAtMs }
    draft.put(tables.processes, processId, new ProcessRow({ ...row.stored, state }, row.change))
  },
})

const leaseRow = defineRow('lease', {
  fields: { processId: idSchema, lease: storedLeaseSchema },
  *capture({ leases }) {
    for (const [processId, lease] of leases.entries()) yield { processId, lease }
  },
  restore: (draft, { processId, lease }) => {
    knownRow(draft, processId, 'lease')
    if (draft.tables.leases.latest(processId) !== undefined) throw corrupt('lease', `${processId} twice`)
    draft.put(draft.tables.leases, processId, lease)
  },
})

const grantsRow = defineRow('grants', {
  fields: { processId: idSchema, grants: v.array(grantSchema) },
  lists: ['grants'],
  *capture({ grants }) {
    for (const [processId, granted] of grants.entries()) yield { processId, grants: granted }
  },
  restore: (draft, { processId, grants }) => {
    knownRow(draft, processId, 'grants')
    if (draft.tables.grants.latest(processId) !== undefined) throw corrupt('grants', `${processId} twice`)
    if (grants.some((grant) => grant.processId !== processId)) throw corrupt('grants', `not all are of ${processId}`)
    draft.put(draft.tables.grants, processId, grants)
  },
})

const tombstoneRow = defineRow('tombstone', {
  fields: { tombstone: tombstoneSchema, change: positiveSchema },
  capture: ({ tombstones }) => tombstones.rows(),
  restore: (draft, { tombstone, change }) => {
    const { tables } = draft
    const { processId } = tombstone
    if (tables.processes.latest(processId) !== undefined) throw corrupt('tombstone', `${processId} is registered`)
    if (tables.tombstones.latest(processId) !== undefined) throw corrupt('tombstone', `${processId} twice`)
    draft.put(tables.tombstones, processId, { tombstone, change })
  },
})

const facts = [registeredFact, changedFact, sessionDetached, processesPruned, tombstonesCompacted] as const

/** The commands of the store's stream. All of them are already decided. */
export type StoreCommand = CommandOf<(typeof facts)[number]['command']>

/** The journalled events of the store. */
export type StoreEvent = EventOf<(typeof facts)[number]['event']>

/** The commands, events and snapshot rows of the store. */
export const processCatalogue = new Catalogue<ProcessTables, ProcessTables, StoreEvent, StoreCommand>({
  subject: 'process',
  commands: facts.map(({ command }) => command),
  events: facts.map(({ event }) => event),
  rows: [changesRow, processRow, logRow, leaseRow, grantsRow, tombstoneRow],
})

function appendEntries(draft: ProcessDraft, row: ProcessRow, entries: readonly LogEntry[]): void {
  const state = foldAll(draft, row, entries, 'process_changed')
  const stored = { ...row.stored, state }
  draft.put(draft.tables.processes, stored.registered.id, new ProcessRow(stored, nextChange(draft)))
}

/** Appends the entries to the log and returns the process with the resulting state. */
function foldAll(draft: ProcessDraft, { stored }: ProcessRow, entries: readonly LogEntry[], field: string) {
  const log = logOf(draft, stored.registered.id)
  let { state } = stored
  for (const entry of entries) {
    if (entry.sequence !== state.lastSequence + 1) {
      throw corrupt(`${field}.entries`, `event ${entry.sequence} of ${stored.registered.id} does not follow`)
    }
    state = fold(state, entry)
    draft.add(log.append(entry))
  }
  return state
}

function logOf(draft: ProcessDraft, processId: ProcessId): ProcessLog {
  const { logs } = draft.tables
  const found = logs.latest(processId)
  if (found !== undefined) return found
  const log = new ProcessLog()
  draft.put(logs, processId, log)
  return log
}

function acknowledge(draft: ProcessDraft, processId: ProcessId, sequence: number): void {
  const log = logOf(draft, processId)
  const { indexes } = draft.tables
  draft.add({
    commit: () => {
      log.ack(sequence)
      indexes.onAck(processId, sequence)
    },
    undo: () => {},
  })
}

function putGrants(draft: ProcessDraft, processId: ProcessId, grants: readonly HandleGrant[]): void {
  draft.put(draft.tables.grants, processId, grants.length === 0 ? undefined : grants)
}

function nextChange(draft: ProcessDraft): number {
  const { changes } = draft.tables
  const change = changes.next()
  changes.take(change)
  draft.add({ commit: () => changes.commit(change), undo: () => changes.giveBack(1) })
  return change
}

function knownRow(draft: ProcessDraft, processId: ProcessId, field: string): ProcessRow {
  const row = draft.tables.processes.latest(processId)
  if (row === undefined) throw corrupt(field, `${processId} is not registered`)
  return row
}

function corrupt(field: string, reason: string): ProcessError<'process.stored_invalid'> {
  return new ProcessError('process.stored_invalid', { field, reason })
}
