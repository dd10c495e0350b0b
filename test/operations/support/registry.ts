import { onTestFinished } from 'vitest'
import { StatewardError } from '../../../src/base/errors.js'
import { createRuntime, type Runtime } from '../../../src/runtime.js'
import type { RuntimeOptions } from '../../../src/runtime-options.js'
import type { SessionLimits } from '../../../src/operations/index.js'
import type { Session } from '../../../src/operations/session.js'
import { SimulatedClock } from '../../../src/testing/simulated-clock.js'
import type {
  OperationId,
  OperationKind,
  OperationOutcome,
  OperationPeerHandle,
  OperationResult,
  OperationSource,
  OperationSpec,
  PeerId,
  TurnId,
  SessionId,
} from '../../../machines/operation-vocabulary.js'

/** 2026-01-01T00:00:00Z, where the simulated clock starts. */
export const start = 1_767_225_600_000

/** The id of this number; text order is number order. */
export function idOf(number: number): OperationId {
  return `00000000-0000-7000-8000-${String(number).padStart(12, '0')}` as OperationId
}

export const turnId = '00000000-0000-7000-9000-000000000001' as TurnId

export function specOf(number: number, kind: OperationKind = 'background_tool_op', more: Partial<OperationSpec> = {}) {
  return {
    id: idOf(number),
    kind,
    ownerSessionId: 'owner' as SessionId,
    displayName: `operation ${number}`,
    sourceLabel: 'test',
    childSessionId: null,
    expectPeerChannel: kind === 'mob_member_child',
    ...more,
  } satisfies OperationSpec
}

export const childSource: OperationSource = { kind: 'session_child', sessionId: 'child-1' as SessionId }

export const peerHandle: OperationPeerHandle = {
  peerName: 'worker',
  trustedPeer: {
    peerId: 'peer-1' as PeerId,
    name: 'worker',
    address: { transport: 'inproc', endpoint: 'worker' },
    pubkey: new Uint8Array(32),
  },
}

export function resultOf(number: number, content = 'done'): OperationResult {
  return { id: idOf(number), content, isError: false, durationMs: 5, tokensUsed: 7 }
}

export function completed(number: number, content = 'done'): OperationOutcome {
  return { type: 'completed', result: resultOf(number, content) }
}

/** One session of a runtime with a clock of its own. */
export interface Fixture {
  readonly clock: SimulatedClock
  readonly runtime: Runtime
  readonly session: Session
  readonly operations: Session['operations']
  /** Registers and starts operations of these numbers. */
  run(numbers: readonly number[], kind?: OperationKind): Promise<void>
  /** Completes a running operation. */
  complete(number: number, content?: string): Promise<void>
  /** Registers, starts and completes. */
  finish(number: number, kind?: OperationKind): Promise<void>
}

/** The fixture of a session that exists in a runtime. */
export function fixtureOf(
  runtime: Runtime,
  clock: SimulatedClock,
  name = 'owner',
  limits: SessionLimits = {},
): Fixture {
  const session = runtime.session(name, limits)
  const { operations } = session
  const run: Fixture['run'] = async (numbers, kind = 'background_tool_op') => {
    for (const number of numbers) {
      await operations.registerOperation(specOf(number, kind))
      await operations.provisioningSucceeded(idOf(number))
    }
  }
  const complete: Fixture['complete'] = (number, content) =>
    operations.completeOperation(idOf(number), resultOf(number, content))
  const finish: Fixture['finish'] = async (number, kind) => {
    await run([number], kind)
    await complete(number)
  }
  return { clock, runtime, session, operations, run, complete, finish }
}

/** Journals that do nothing by themselves, each synced while a runtime is closed. */
const journals = new Set<{ sync(): Promise<void> }>()

async function close(runtime: Runtime): Promise<void> {
  const state = { isClosed: false }
  // A journal whose faults a test has scripted may refuse to close; the test has said what it expects of that.
  const closing = runtime.close({ policy: 'terminate' }).catch(() => {})
  void closing.then(() => (state.isClosed = true))
  while (!state.isClosed && journals.size > 0) for (const journal of journals) await journal.sync()
  await closing
}

/** Syncs a journal that does nothing by itself when its runtime is closed at the end of the test. */
export function syncWhenClosing<Scripted extends { sync(): Promise<void> }>(journal: Scripted): Scripted {
  journals.add(journal)
  onTestFinished(() => void journals.delete(journal))
  return journal
}

/** A runtime that is closed when its test ends; in memory unless told. */
export async function openRuntime(options: RuntimeOptions = {}): Promise<Runtime> {
  const runtime = await createRuntime(options)
  onTestFinished(() => close(runtime))
  return runtime
}

/** A session in a runtime of its own. */
export async function openFixture(limits: SessionLimits = {}, options: RuntimeOptions = {}): Promise<Fixture> {
  const clock = new SimulatedClock(start)
  return fixtureOf(await openRuntime({ clock, ...options }), clock, 'owner', limits)
}

/** Code and data of what a promise rejects with, or `resolved`. */
export async function refusal(promise: PromiseLike<unknown>): Promise<unknown> {
  try {
    await promise
    return 'resolved'
  } catch (error) {
    return StatewardError.is(error) ? { code: error.code, ...(error.data as object) } : error
  }
}

/** The same for a call that throws. */
export function refusalOf(call: () => unknown): unknown {
  try {
    call()
    return 'returned'
  } catch (error) {
    return StatewardError.is(error) ? { code: error.code, ...(error.data as object) } : error
  }
}

/** What a promise has come to once no microtask is left: its value, `pending` or `rejected`; the journal gets no turn. */
export async function stateOf(promise: PromiseLike<unknown>): Promise<unknown> {
  let state: unknown = 'pending'
  promise.then(
    (value) => (state = value),
    () => (state = 'rejected'),
  )
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve()
  return state
}
