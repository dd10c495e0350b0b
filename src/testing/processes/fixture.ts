import assert from 'node:assert/strict'
import { StatewardError } from '../../base/errors.js'
import type { JsonValue } from '../../base/json.js'
import type {
  ClaimOutcome,
  LeaseOwner,
  ProcessEventType,
  ProcessLease,
  ProcessRegistration,
  ProcessStore,
  RecoveryDisposition,
} from '../../processes/index.js'

/** A store under test, empty at first. */
export interface ProcessStoreFixture {
  readonly store: ProcessStore
  /** Lets so many milliseconds pass by the clock of the store. */
  advance(milliseconds: number): Promise<void> | void
  /** The store takes whoever holds this lease to be dead from now on. */
  declareDead(lease: ProcessLease): void
  /** Another store on what this one holds, which is closed; left out for one whose contents go with it. */
  reopen?(): Promise<ProcessStore>
  /** Makes the stored state of a process that has ended one that runs, its log as it is; left out where that cannot be. */
  leaveBehind?(processId: string): Promise<void>
  /** Takes the store away once its test is over. */
  dispose?(): Promise<void>
}

/** Defines one test on a store of its own. */
export type DefineTest = (behaviour: string, run: (fixture: ProcessStoreFixture) => Promise<void>) => void

/** A part of the suite. */
export type SuitePart = (test: DefineTest) => void

/** What a registration of the suite says beside its id. */
export type RegistrationParts = Partial<Omit<ProcessRegistration, 'id'>>

/** An event type without semantics that takes any payload. */
export function plainType(name: string): ProcessEventType {
  return { name, payloadSchema: {}, semantics: {} }
}

/** An event type that wakes the target with its whole payload. */
export function wakeType(name: string): ProcessEventType {
  return { name, payloadSchema: {}, semantics: { wake: { input: { type: 'payload' } } } }
}

/** A process that is owned outside. */
export function external(id: string, parts: RegistrationParts = {}): ProcessRegistration {
  return {
    id,
    input: { type: 'external', metadata: { name: `external ${id}` } },
    disposition: 'externally_owned',
    eventTypes: [plainType('note')],
    provenance: { originator: { type: 'host' } },
    ...parts,
  }
}

/** A process that an engine runs here. */
export function engine(
  id: string,
  disposition: RecoveryDisposition = 'rerunnable',
  parts: RegistrationParts = {},
): ProcessRegistration {
  return external(id, {
    input: { type: 'engine', kind: 'report', payload: { topic: id } },
    envRef: `process-env:sha256:${'0'.repeat(64)}`,
    disposition,
    ...parts,
  })
}

/** An incarnation of an owner. */
export function owner(ownerId: string, incarnationId = '1'): LeaseOwner {
  return { ownerId, incarnationId }
}

/** The session of this name. */
export function session(sessionId: string, agentFrameId?: string) {
  return { sessionId, ...(agentFrameId !== undefined && { agentFrameId }) }
}

/** The output of a process that went well. */
export function success(value: JsonValue) {
  return { type: 'success', value } as const
}

/** The output of a process that was given up on request. */
export const abandonedOnRequest = {
  type: 'abandoned',
  evidence: { writer: 'reconciled_request', epochMs: 7 },
} as const

/** Claims a lease and expects to get it. */
export async function acquire(
  store: ProcessStore,
  processId: string,
  claimant: LeaseOwner,
  ttlMs = 60_000,
): Promise<ProcessLease> {
  return leaseIn(await store.claimLease(processId, claimant, ttlMs))
}

/** The lease that was acquired. */
export function leaseIn(outcome: ClaimOutcome): ProcessLease {
  assert.equal(outcome.outcome, 'acquired')
  return outcome.lease
}

/** Expects a refusal by its code, and gives back its data. */
export async function refused(call: Promise<unknown>, code: string, text = ''): Promise<Record<string, unknown>> {
  const [settled] = await Promise.allSettled([call])
  assert.equal(settled?.status, 'rejected', `expected ${code}`)
  const { reason } = settled
  assert.ok(StatewardError.is(reason), String(reason))
  assert.equal(reason.code, code, reason.message)
  assert.ok(reason.message.includes(text), `${reason.message} does not say ${text}`)
  return reason.data as Record<string, unknown>
}

/** The ids of records. */
export function idsOf(records: readonly { readonly id: string }[]): string[] {
  return records.map(({ id }) => id)
}

/** Everything that a store answers about one process, to tell that nothing has changed. */
export async function everythingOf(store: ProcessStore, processId: string): Promise<unknown> {
  return {
    record: await store.getProcess(processId),
    events: await store.eventsAfter(processId, 0),
    lease: await store.getLease(processId),
    grants: await store.handleGrantsForProcess(processId),
    wakes: await store.wakeEventsAfter(processId, 0),
  }
}
