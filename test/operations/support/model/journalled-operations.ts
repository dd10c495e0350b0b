import assert from 'node:assert/strict'
import { nextTurn } from '../../../../src/base/promises.js'
import { createMemoryJournal, type MemoryJournalStore } from '../../../../src/journal/memory-journal.js'
import type { OperationRegistry } from '../../../../src/operations/index.js'
import { createRuntime, type Runtime } from '../../../../src/runtime.js'
import type { Session } from '../../../../src/operations/session.js'
import {
  OperationsDriver,
  type ProbedCall,
  type ProbedWait,
  type ProbedWatch,
} from '../../../../src/testing/operations/driver.js'
import type { OracleLimits } from '../../../../src/testing/operations/rows.js'
import { SimulatedClock } from '../../../../src/testing/simulated-clock.js'

/** How the last group of writes ended. */
export type Ending = 'durable' | 'taken back' | 'uncertain'

const sessionName = 'model'

/**
 * A session of ours, by default over a journal that can be made to fail, whose calls are not waited for one by one: what
 * is decided and not yet durable is looked at too.
 */
export class JournalledOperations extends OperationsDriver {
  readonly clock: SimulatedClock
  /** Absent for a session that is not durable. */
  #store: MemoryJournalStore | null
  #runtime: Runtime
  #session: Session
  #ending: Ending = 'durable'

  private constructor(clock: SimulatedClock, store: MemoryJournalStore | null, runtime: Runtime, session: Session) {
    super(session.operations, { comparison: 'whole', patienceMs: 0 })
    this.#store = store
    this.clock = clock
    this.#runtime = runtime
    this.#session = session
  }

  /** A session with these limits over an empty journal, or over none. */
  static async open(
    limits: OracleLimits,
    store: MemoryJournalStore | null = createMemoryJournal(),
  ): Promise<JournalledOperations> {
    const clock = new SimulatedClock()
    const runtime = await runtimeOver(store, clock)
    const operations = new JournalledOperations(clock, store, runtime, runtime.session(sessionName, limits))
    await runtime.flush()
    return operations
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

  /** Checks that no end that is under way has resolved. */
  verifyNothingLeaked(): void {
    for (const { name, isStaged, verdict, probe } of this.calls) {
      if (isStaged !== true || verdict.refused !== undefined) continue
      assert.equal(probe.state.type, 'pending', `${name} must not resolve before it is durable`)
    }
  }

  /** Checks every call since the last time. */
  async verifyCalls(ending: Ending): Promise<void> {
    await nextTurn()
    this.#ending = ending
    for (const call of this.calls.splice(0)) this.verifyCall(call)
  }

  /** Checks every call since the last time, and every watch and wait there is. */
  override async verify(ending: Ending = 'durable'): Promise<void> {
    await this.verifyCalls(ending)
    for (const watched of this.watches) this.verifyWatch(watched)
    for (const waited of this.waits) this.verifyWait(waited)
  }

  override verifyCall(call: ProbedCall): void {
    const { name, probe, verdict, isStaged = false, leans = false } = call
    const { code } = probe
    const isAffected = verdict.refused === undefined ? isStaged : leans
    if (isAffected && this.#ending === 'taken back') return assert.equal(code, 'lane_not_appended', name)
    if (isAffected && this.#ending === 'uncertain') {
      return assert.ok(code === 'lane_durability_unknown' || code === 'lane_poisoned', `${name} ended with ${code}`)
    }
    super.verifyCall(call)
  }

  override verifyWatch(watched: ProbedWatch): void {
    const { expected, probe } = watched
    if (expected.state !== 'closed') return super.verifyWatch(watched)
    assert.equal(probe.code, 'channel_closed', `watch of ${expected.operationId}`)
  }

  override verifyWait(waited: ProbedWait): void {
    const { expected, probe } = waited
    if (expected.state !== 'closed') return super.verifyWait(waited)
    assert.equal(probe.code, 'internal', 'a wait whose registry went away')
  }

  /** Lets what is under way reach the journal, which refuses it or breaks on request. */
  async write(failure?: 'write' | 'sync'): Promise<void> {
    if (failure !== undefined) this.#store?.failNext(failure)
    await this.#runtime.flush()
    // The ends that follow from the end of a parent come behind it.
    if (failure === undefined) await this.#runtime.flush()
  }

  /** The power goes and comes back: the process is gone, the journal keeps what was on stable storage. */
  async crash(): Promise<void> {
    this.#store?.crash()
    await nextTurn()
    await this.#abandon()
    await this.#reopen()
    // What was owed an end has one now.
    await this.#runtime.flush()
  }

  /** The process ends as it should and starts again. */
  async restart(reason: string): Promise<void> {
    await this.#runtime.close({ policy: 'terminate', reason })
    await nextTurn()
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
    this.port = this.#session.operations
    assert.equal(this.registry.epochId, epochId, 'a transfer must keep the epoch')
  }

  async close(): Promise<void> {
    await this.#runtime.close({ policy: 'terminate' })
  }

  async #reopen(): Promise<void> {
    this.#runtime = await runtimeOver(this.#store, this.clock)
    this.#session = this.#runtime.session(sessionName)
    this.port = this.#session.operations
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
