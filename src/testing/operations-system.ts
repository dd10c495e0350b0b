import assert from 'node:assert/strict'
import { StatewardError } from '../base/errors.js'
import { createMemoryJournal, type MemoryJournalStore } from '../journal/memory-journal.js'
import type { OperationRegistry } from '../operations/index.js'
import { createRuntime, type Runtime } from '../runtime.js'
import type { Session } from '../operations/session.js'
import type { OracleLimits, OracleWait, OracleWatch, Verdict } from './operations-oracle-types.js'
import { SimulatedClock } from './simulated-clock.js'

/** How the last group of writes ended. */
export type Ending = 'durable' | 'taken back' | 'uncertain'

/** How a promise stands. */
type State =
  | { readonly type: 'pending' }
  | { readonly type: 'resolved'; readonly value: unknown }
  | { readonly type: 'rejected'; readonly reason: unknown }

/** Watches a promise without waiting for it. */
class Probe {
  state: State = { type: 'pending' }

  constructor(promise: PromiseLike<unknown>) {
    promise.then(
      (value) => (this.state = { type: 'resolved', value }),
      (reason: unknown) => (this.state = { type: 'rejected', reason }),
    )
  }

  get code(): string | undefined {
    const { state } = this
    if (state.type !== 'rejected') return undefined
    return StatewardError.is(state.reason) ? state.reason.code : String(state.reason)
  }
}

/** What a call should come to. */
export interface CallExpectation {
  readonly verdict: Verdict
  /** True for an end that must not show or resolve before it is durable. */
  readonly isStaged?: boolean
  /** True when a refusal may lean on what is being written, and therefore waits for it. */
  readonly leans?: boolean
  /** What the call resolves with, if that matters. */
  readonly value?: unknown
}

interface Call extends CallExpectation {
  readonly name: string
  readonly probe: Probe
}

interface Watched {
  readonly expected: OracleWatch
  readonly probe: Probe
  readonly controller: AbortController
}

interface Waited {
  readonly expected: OracleWait
  readonly probe: Probe
  readonly handle: Disposable
}

const sessionName = 'model'

/** The real side of the model: a session, by default over a journal that can be crashed, and every promise it gave. */
export class OperationsSystem {
  readonly clock: SimulatedClock
  /** Absent for a session that is not durable. */
  #store: MemoryJournalStore | null
  watches: Watched[] = []
  waits: Waited[] = []
  #calls: Call[] = []
  #runtime: Runtime
  #session: Session

  private constructor(limits: OracleLimits, store: MemoryJournalStore | null, clock: SimulatedClock, runtime: Runtime) {
    this.#store = store
    this.clock = clock
    this.#runtime = runtime
    this.#session = runtime.session(sessionName, limits)
  }

  /** A session with these limits over an empty journal, or over none. */
  static async open(
    limits: OracleLimits,
    store: MemoryJournalStore | null = createMemoryJournal(),
  ): Promise<OperationsSystem> {
    const clock = new SimulatedClock()
    const system = new OperationsSystem(limits, store, clock, await runtimeOver(store, clock))
    await system.#runtime.flush()
    return system
  }

  get runtime(): Runtime {
    return this.#runtime
  }

  get session(): Session {
    return this.#session
  }

  get registry(): OperationRegistry {
    return this.#session.operations
  }

  /** Notes what a call should come to; {@link verify} checks it once the writes under way have ended. */
  expect(name: string, promise: PromiseLike<unknown>, expectation: CallExpectation): void {
    this.#calls.push({ ...expectation, name, probe: new Probe(promise) })
  }

  /** Checks that no end that is under way has resolved. */
  verifyNothingLeaked(): void {
    for (const { name, isStaged, verdict, probe } of this.#calls) {
      if (isStaged !== true || verdict.refused !== undefined) continue
      assert.equal(probe.state.type, 'pending', `${name} must not resolve before it is durable`)
    }
  }

  /** Keeps a watch together with how it should stand. */
  watch(expected: OracleWatch, promise: PromiseLike<unknown>, controller: AbortController): void {
    this.watches.push({ expected, controller, probe: new Probe(promise) })
  }

  /** Keeps a wait together with how it should stand. */
  wait(expected: OracleWait, handle: PromiseLike<unknown> & Disposable): void {
    this.waits.push({ expected, handle, probe: new Probe(handle) })
  }

  /** Checks every call since the last time. */
  async verifyCalls(ending: Ending): Promise<void> {
    await turn()
    for (const call of this.#calls.splice(0)) verifyCall(call, ending)
  }

  /** Checks every call since the last time, and every watch and wait there is. */
  async verify(ending: Ending): Promise<void> {
    await this.verifyCalls(ending)
    for (const watched of this.watches) verifyWatch(watched)
    for (const waited of this.waits) verifyWait(waited)
  }

  /** Lets what is under way reach the journal, which refuses it or breaks on request. */
  async write(failure?: 'write' | 'sync'): Promise<void> {
    if (failure !== undefined) this.#store?.failNext(failure)
    await this.#runtime.flush()
  }

  /** The power goes and comes back: the process is gone, the journal keeps what was on stable storage. */
  async crash(): Promise<void> {
    this.#store?.crash()
    await turn()
    await this.#abandon()
    await this.#reopen()
  }

  /** The process ends as it should and starts again. */
  async restart(reason: string): Promise<void> {
    await this.#runtime.close({ policy: 'terminate', reason })
    await turn()
    await this.#reopen()
  }

  /** Moves to another process through the wire snapshot alone. */
  async transfer(): Promise<void> {
    const { epochId } = this.registry
    const text = JSON.stringify(this.registry.capturePersistenceSnapshot())
    this.#store?.crash()
    await this.#abandon()
    this.#store = this.#store === null ? null : createMemoryJournal()
    this.#runtime = await runtimeOver(this.#store, this.clock)
    this.#session = await this.#runtime.importSession(sessionName, JSON.parse(text))
    assert.equal(this.registry.epochId, epochId, 'a transfer must keep the epoch')
  }

  async close(): Promise<void> {
    await this.#runtime.close({ policy: 'terminate' })
  }

  /** Forgets watches and waits of a life that is over. */
  forgetWaiters(): void {
    this.watches = []
    this.waits = []
  }

  async #reopen(): Promise<void> {
    this.#runtime = await runtimeOver(this.#store, this.clock)
    this.#session = this.#runtime.session(sessionName)
  }

  /** The dead process cannot write any more; disposing of it only lets go of its promises. */
  async #abandon(): Promise<void> {
    this.#session.dispose()
    await this.#runtime.close({ policy: 'terminate' }).catch(() => {})
  }
}

async function runtimeOver(store: MemoryJournalStore | null, clock: SimulatedClock): Promise<Runtime> {
  return createRuntime({ clock, ...(store !== null && { store }) })
}

/** One turn of the event loop: every reaction to what has happened has run. */
async function turn(): Promise<void> {
  await new Promise((resolve) => {
    setImmediate(resolve)
  })
}

function verifyCall({ name, probe, verdict, isStaged = false, leans = false, value }: Call, ending: Ending): void {
  const { state, code } = probe
  const isAffected = verdict.refused === undefined ? isStaged : leans
  if (isAffected && ending === 'taken back') return assert.equal(code, 'lane_not_appended', name)
  if (isAffected && ending === 'uncertain') {
    return assert.ok(code === 'lane_durability_unknown' || code === 'lane_poisoned', `${name} ended with ${code}`)
  }
  if (verdict.refused !== undefined) {
    assert.equal(code, verdict.refused, `${name} should be refused`)
    const { data } = (state as { reason: StatewardError }).reason
    if (verdict.data !== undefined) assert.deepEqual(data, verdict.data, `data of the refusal of ${name}`)
    return
  }
  assert.deepEqual(state, { type: 'resolved', value }, name)
}

function verifyWatch({ expected, probe }: Watched): void {
  const { operationId, state, outcome } = expected
  const name = `watch of ${operationId}`
  switch (state) {
    case 'pending':
      return assert.deepEqual(probe.state, { type: 'pending' }, name)
    case 'resolved':
      return assert.deepEqual(probe.state, { type: 'resolved', value: outcome }, name)
    case 'abandoned':
      return assert.deepEqual(probe.state, { type: 'rejected', reason: 'abandoned' }, name)
    case 'closed':
      return assert.equal(probe.code, 'channel_closed', name)
  }
}

function verifyWait({ expected, probe }: Waited): void {
  const { members, outcomes, turnId, state } = expected
  switch (state) {
    case 'pending':
      return assert.deepEqual(probe.state, { type: 'pending' }, 'an unsatisfied wait')
    case 'satisfied':
    case 'acknowledged': {
      assert.equal(probe.state.type, 'resolved', 'a satisfied wait')
      const { value } = probe.state as { value: { outcomes: unknown; satisfied: Record<string, unknown> } }
      const inRequestOrder = members.map((operationId) => ({ operationId, outcome: outcomes.get(operationId) }))
      assert.deepEqual(value.outcomes, inRequestOrder, 'outcomes in request order')
      assert.deepEqual(
        [value.satisfied['turnId'], value.satisfied['operationIds']],
        [turnId, members],
        'the obligation',
      )
      return
    }
    case 'cancelled':
      return assert.equal(probe.state.type, 'rejected', 'a cancelled wait')
    case 'closed':
      return assert.equal(probe.code, 'internal', 'a wait whose registry went away')
  }
}
