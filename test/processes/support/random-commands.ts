import fc from 'fast-check'
import { StatewardError } from '../../../src/base/errors.js'
import { noProjector, type AwaitOutput, type ProcessLease, type ProcessStore } from '../../../src/processes/index.js'
import { engine, external, owner, plainType, session } from '../../../src/testing/processes/fixture.js'

type Output = Extract<AwaitOutput, { type: 'success' | 'failure' | 'cancelled' | 'abandoned' }>

/** Something done to a store; leases are named by the order in which they were given out. */
export type Random =
  | { readonly type: 'advance'; readonly ms: number }
  | { readonly type: 'reopen' | 'prune' }
  | {
      readonly type: 'register'
      readonly process: string
      readonly disposition: 'rerunnable' | 'owner_bound' | 'externally_owned'
      readonly maxAttempts: number | undefined
      readonly target: string | undefined
    }
  | {
      readonly type: 'append'
      readonly process: string
      readonly event: string
      readonly payload: number
      readonly key: string | undefined
      readonly lease: number | undefined
    }
  | {
      readonly type: 'complete'
      readonly process: string
      readonly output: Output
      readonly authority: 'external_owner' | 'workflow_key' | 'reconciled_abandon'
    }
  | { readonly type: 'claim' | 'begin'; readonly process: string; readonly owner: string; readonly ttl: number }
  | { readonly type: 'renew'; readonly lease: number; readonly ttl: number }
  | { readonly type: 'release'; readonly lease: number }
  | { readonly type: 'complete_with_lease'; readonly lease: number; readonly output: Output }
  | { readonly type: 'start'; readonly process: string; readonly lease: number | undefined }
  | { readonly type: 'wait'; readonly process: string; readonly name: string; readonly lease: number | undefined }
  | { readonly type: 'clear_wait'; readonly process: string; readonly lease: number | undefined }
  | { readonly type: 'abandon'; readonly process: string; readonly by: string }
  | { readonly type: 'set_ref'; readonly process: string; readonly id: string; readonly lease: number | undefined }
  | { readonly type: 'grant' | 'revoke'; readonly process: string; readonly session: string }
  | { readonly type: 'ack'; readonly process: string; readonly sequence: number }
  | { readonly type: 'delete_session'; readonly session: string }

const process = fc.constantFrom('a', 'b', 'c')
const sessionName = fc.constantFrom('s', 't')
const maybe = <Value>(value: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> =>
  fc.option(value, { nil: undefined, freq: 2 })
/** Taken modulo the number of leases that were given out, when the command runs. */
const lease = fc.nat({ max: 30 })
const output: fc.Arbitrary<Output> = fc.oneof(
  fc.record({ type: fc.constant('success' as const), value: fc.nat({ max: 1 }) }),
  fc.constant({ type: 'failure', class: 'external', code: 'c', message: 'm' } as const),
  fc.constant({ type: 'cancelled', message: 'm' } as const),
  fc.constant({ type: 'abandoned', evidence: { writer: 'sweep', epochMs: 1 } } as const),
)
const ttl = fc.constantFrom(0, 50, 1000)

/** Any command; the frequent ones more often. */
export const randomCommand: fc.Arbitrary<Random> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ type: fc.constant('advance' as const), ms: fc.constantFrom(1, 50, 400) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constantFrom('reopen' as const, 'prune' as const) }) },
  {
    weight: 4,
    arbitrary: fc
      .record({
        type: fc.constant('register' as const),
        process,
        disposition: fc.constantFrom('rerunnable' as const, 'owner_bound' as const, 'externally_owned' as const),
        maxAttempts: maybe(fc.constantFrom(1, 2)),
        target: maybe(sessionName),
      })
      .map((one) => (one.disposition === 'rerunnable' ? one : { ...one, maxAttempts: undefined })),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant('append' as const),
      process,
      event: fc.constantFrom('note', 'note', 'wake', 'signal.go', 'end', 'undeclared'),
      payload: fc.nat({ max: 9 }),
      key: maybe(fc.constantFrom('k', 'l')),
      lease: maybe(lease),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('complete' as const),
      process,
      output,
      authority: fc.constantFrom('external_owner' as const, 'workflow_key' as const, 'reconciled_abandon' as const),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constantFrom('claim' as const, 'begin' as const),
      process,
      owner: fc.constantFrom('x', 'y'),
      ttl,
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('renew' as const), lease, ttl }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('release' as const), lease }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('complete_with_lease' as const), lease, output }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('start' as const), process, lease: maybe(lease) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('wait' as const),
      process,
      name: fc.constantFrom('signal', 'process'),
      lease: maybe(lease),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('clear_wait' as const), process, lease: maybe(lease) }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('abandon' as const), process, by: fc.constantFrom('me', 'you') }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('set_ref' as const),
      process,
      id: fc.constantFrom('1', '2'),
      lease: maybe(lease),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constantFrom('grant' as const, 'grant' as const, 'revoke' as const),
      process,
      session: sessionName,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant('ack' as const), process, sequence: fc.integer({ min: 1, max: 6 }) }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('delete_session' as const), session: sessionName }) },
)

/** The command with its lease among those that were given out; without any, one that needs none. */
export function among(command: Random, given: number): Random | undefined {
  if (!('lease' in command) || command.lease === undefined) return command
  if (given > 0) return { ...command, lease: command.lease % given }
  const needsLease = command.type === 'renew' || command.type === 'release' || command.type === 'complete_with_lease'
  return needsLease ? undefined : { ...command, lease: undefined }
}

/** A store that commands are run on, with the leases that it gave out. */
export interface Driven {
  store: ProcessStore
  readonly leases: ProcessLease[]
  readonly advance: (ms: number) => Promise<void> | void
  readonly reopen: () => Promise<ProcessStore>
}

/** Does a command; gives back what its caller is told, in short. */
export async function run(driven: Driven, command: Random): Promise<string> {
  try {
    return await attempt(driven, command)
  } catch (refusal) {
    if (!StatewardError.is(refusal)) throw refusal
    return refusal.code
  }
}

const eventTypes = [
  { name: 'note', payloadSchema: { maximum: 8 }, semantics: {} },
  { name: 'wake', payloadSchema: {}, semantics: { wake: { input: { type: 'payload' } } } },
  plainType('signal.go'),
  { name: 'end', payloadSchema: {}, semantics: { terminal: { state: 'completed' } } },
] as const

async function attempt(driven: Driven, command: Random): Promise<string> {
  const { store, leases } = driven
  const options =
    'lease' in command && command.lease !== undefined ? { lease: leases[command.lease] as ProcessLease } : {}
  const held = options.lease as ProcessLease
  switch (command.type) {
    case 'advance':
      await driven.advance(command.ms)
      return 'ok'
    case 'reopen':
      driven.store = await driven.reopen()
      return 'ok'
    case 'register': {
      const { disposition, maxAttempts, target } = command
      const parts = {
        eventTypes,
        ...(maxAttempts !== undefined && { maxAttempts }),
        ...(target !== undefined && { wakeTarget: session(target) }),
      }
      const isOutside = disposition === 'externally_owned'
      const registration = isOutside ? external(command.process, parts) : engine(command.process, disposition, parts)
      await store.registerProcess(registration)
      return 'ok'
    }
    case 'append': {
      const { event: eventType, payload, key } = command
      const request = { eventType, payload, ...(key !== undefined && { replay: { key } }) }
      return (await store.appendEvent(command.process, request, options)).replayed ? 'replayed' : 'appended'
    }
    case 'complete': {
      const { authority } = command
      const right = authority === 'workflow_key' ? { type: authority, key: 'w' } : { type: authority }
      return (await store.completeProcess(command.process, command.output, right)).outcome
    }
    case 'claim': {
      const outcome = await store.claimLease(command.process, owner(command.owner), command.ttl)
      if (outcome.outcome === 'busy') return 'busy'
      leases.push(outcome.lease)
      return `acquired ${outcome.lease.fencingToken}`
    }
    case 'begin': {
      const started = { owner: owner('o'), startedAtMs: 1 }
      const begun = await store.claimAndStart(command.process, owner(command.owner), started, command.ttl)
      if (begun.outcome !== 'started') return begun.outcome
      leases.push(begun.lease)
      return `started ${begun.lease.fencingToken}, ${begun.record.firstStarted?.attempt}`
    }
    case 'renew':
      await store.renewLease(held, command.ttl)
      return 'ok'
    case 'release':
      await store.completeLease(held)
      return 'ok'
    case 'complete_with_lease':
      return (await store.completeWithLease(held, command.output)).outcome
    case 'start':
      await store.recordFirstStarted(command.process, { owner: owner('o'), startedAtMs: 1 }, options)
      return 'ok'
    case 'wait': {
      const kind =
        command.name === 'process'
          ? ({ type: 'process', processId: 'x' } as const)
          : ({ type: 'signal', name: 'go', eventType: 'signal.go', key: 'key', ordinal: 99 } as const)
      await store.setWait(command.process, { sinceMs: 1, kind }, options)
      return 'ok'
    }
    case 'clear_wait':
      await store.clearWait(command.process, options)
      return 'ok'
    case 'abandon':
      await store.requestAbandon(command.process, { requestedBy: command.by, requestedAtMs: 1 })
      return 'ok'
    case 'set_ref':
      await store.setExternalRef(command.process, { backend: 'b', id: command.id }, options)
      return 'ok'
    case 'grant':
      await store.grantHandle(session(command.session), command.process, {})
      return 'ok'
    case 'revoke':
      await store.revokeHandle(session(command.session), command.process)
      return 'ok'
    case 'ack':
      await store.ackWake(command.process, command.sequence)
      return 'ok'
    case 'delete_session': {
      const report = await store.deleteSessionProcessState(command.session)
      const { revokedHandleCount, orphanedProcessIds, preservedProcessIds } = report
      return `revoked ${revokedHandleCount}, orphaned ${orphanedProcessIds.join()}, preserved ${preservedProcessIds.join()}`
    }
    case 'prune': {
      const report = await store.pruneTerminal(Number.POSITIVE_INFINITY, { watermark: noProjector })
      return `pruned ${report.prunedProcesses}, ${report.prunedEvents}`
    }
  }
}

/** Everything that can be seen of a store, in short: see the state of the oracle. */
export async function stateOf(store: ProcessStore, startMs: number): Promise<unknown> {
  const records = await store.listProcesses({ status: 'any' })
  const pruned: [string, string][] = []
  for (const id of ['a', 'b', 'c']) {
    const terminal = await store.getTerminal(id)
    if (terminal.state === 'pruned') pruned.push([id, terminal.terminalLabel])
  }
  const processes = []
  for (const record of records) {
    const { id, outcome, wait } = record
    const lease = await store.getLease(id)
    const gaveUp = outcome?.type === 'abandoned' && outcome.evidence.writer === 'engine_gave_up'
    processes.push({
      id,
      status: record.status,
      outcome: gaveUp ? 'gave up' : outcome,
      events: (await store.eventsAfter(id, 0)).map(({ eventType, payload }) => [
        eventType,
        typeof payload === 'number' ? payload : undefined,
      ]),
      attempt: record.firstStarted?.attempt,
      wait: wait?.kind.type,
      abandoner: record.abandonRequest?.requestedBy,
      ref: record.externalRef?.id,
      lease: lease && [lease.owner.ownerId, lease.fencingToken, lease.expiresAtMs - startMs],
      grants: (await store.handleGrantsForProcess(id)).map(({ sessionId }) => sessionId),
      target: record.wakeTarget?.sessionId,
      wakes: (await store.wakeEventsAfter(id, 0)).map(({ sequence }) => sequence),
    })
  }
  return {
    pruned,
    processes,
    pending: (await store.pendingWakes(1000)).map(({ event }) => `${event.processId}:${event.sequence}`),
    work: (await store.listWork(1000)).records.map(({ id }) => id),
  }
}
