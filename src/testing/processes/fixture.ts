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

/** A process store under test, empty at first. */
export interface ProcessStoreFixture {
  readonly store: ProcessStore
  /** Advances the clock of the store. */
  advance(milliseconds: number): Promise<void> | void
  /** Makes the store consider the holder of this lease dead from now on. */
  declareDead(lease: ProcessLease): void
  /**
   * Opens another store on the contents of this one, which is closed. Leave it out if the contents do not outlive the
   * store.
   */
  reopen?(): Promise<ProcessStore>
  /**
   * Sets the stored state of an ended process back to running, without changing its log. Leave it out if that is
   * impossible.
   */
  leaveBehind?(processId: string): Promise<void>
  /** Removes the store after its test. */
  dispose?(): Promise<void>
}

/** Defines one test with its own store. */
export type DefineTest = (behaviour: string, run: (fixture: ProcessStoreFixture) => Promise<void>) => void

/** A part of the suite. */
export type SuitePart = (test: DefineTest) => void

/** The fields of a registration besides its id. */
export type RegistrationParts = Partial<Omit<ProcessRegistration, 'id'>>

/** An event type without semantics that accepts any payload. */
export function plainType(name: string): ProcessEventType {
  return { name, payloadSchema: {}, semantics: {} }
}

/** An event type that wakes the target with the whole payload. */
export function wakeType(name: string): ProcessEventType {
  return { name, payloadSchema: {}, semantics: { wake: { input: { type: 'payload' } } } }
}

/** A process that is owned externally. */
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

/** A lease owner in one incarnation. */
export function owner(ownerId: string, incarnationId = '1'): LeaseOwner {
  return { ownerId, incarnationId }
}

/** The session with this id. */
export function session(sessionId: string, agentFrameId?: string) {
  return { sessionId, ...(agentFrameId !== undefined && { agentFrameId }) }
}

/** The output of a successful process. */
export function success(value: JsonValue) {
  return { type: 'success', value } as const
}

/** The output of a process that was abandoned on request. */
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

/** The acquired lease. */
export function leaseIn(outcome: ClaimOutcome): ProcessLease {
  assert.equal(outcome.outcome, 'acquired')
  return outcome.lease
}

/** Expects a refusal with this code, and returns its data. */
export async function refused(call: Promise<unknown>, code: string, text = ''): Promise<Record<string, unknown>> {
  const [settled] = await Promise.allSettled([call])
  assert.equal(settled?.status, 'rejected', `expected ${code}`)
  const { reason } = settled
  assert.ok(StatewardError.is(reason), String(reason))
  assert.equal(reason.code, code, reason.message)
  assert.ok(reason.message.includes(text), `${reason.message} does not say ${text}`)
  return reason.data as Record<string, unknown>
}

/** The ids of the records. */
export function idsOf(records: readonly { readonly id: string }[]): string[] {
  return records.map(({ id }) => id)
}

/** Everything that a store answers about one process, to check that nothing has changed. */
export async function everythingOf(store: ProcessStore, processId: string): Promise<unknown> {
  return {
    record: await store.getProcess(processId),
    events: await store.eventsAfter(processId, 0),
    lease: await store.getLease(processId),
    grants: await store.handleGrantsForProcess(processId),
    wakes: await store.wakeEventsAfter(processId, 0),
  }
}
