import assert from 'node:assert/strict'
import { nextTurn } from '../../base/promises.js'
import { unsupported } from '../../operations/system.js'
import { assertSame, type Comparison } from '../comparison.js'
import { Probe, settledWithin } from '../probe.js'
import type { OperationsMethod, OperationsPort } from './port.js'
import type { OracleLineWait, OracleLineRun, OracleWait, OracleWatch, Refusal, Verdict } from './rows.js'
import type { OperationSpec } from '../../../machines/operation-vocabulary.js'

/** The expected result of a call. */
export interface CallExpectation {
  readonly verdict: Verdict
  /** True for an end that must not be visible or resolve before it is durable. */
  readonly isStaged?: boolean
  /** True if a refusal may depend on a write in progress, and therefore waits for it. */
  readonly leans?: boolean
  /** The value with which the call should resolve, if that matters. */
  readonly value?: unknown
}

/** A call, and the state of its promise. */
export interface ProbedCall extends CallExpectation {
  readonly name: string
  readonly probe: Probe
}

/** A watch, and the state of its promise. */
export interface ProbedWatch {
  readonly expected: OracleWatch
  readonly probe: Probe
  readonly controller: AbortController
}

/** A wait, and the state of its promise. */
export interface ProbedWait {
  readonly expected: OracleWait
  readonly probe: Probe
  readonly giveUp: () => void
}

/** An operation that runs once there is room, and the state of its outcome. */
export interface ProbedRun {
  readonly expected: OracleLineRun
  readonly probe: Probe
}

/** A wait for operations that may be queued, and the state of its promise. */
export interface ProbedLineWait {
  readonly expected: OracleLineWait
  readonly probe: Probe
}

/** Options of the driver. */
export interface DriverOptions {
  readonly comparison: Comparison
  /** Milliseconds after which an answer that is due counts as missing. */
  readonly patienceMs: number
}

/** Maximum time in milliseconds to wait for the ends that follow from an end. */
const longestCascadeMs = 100

type Given<Method extends OperationsMethod> = Parameters<NonNullable<OperationsPort[Method]>>
type Answer<Method extends OperationsMethod> = Awaited<ReturnType<NonNullable<OperationsPort[Method]>>>

/** The real side of the model: the port of a system, and all promises that it has returned. */
export class OperationsDriver {
  readonly comparison: Comparison
  readonly #patienceMs: number
  port: OperationsPort
  watches: ProbedWatch[] = []
  waits: ProbedWait[] = []
  calls: ProbedCall[] = []
  runs: ProbedRun[] = []
  lineWaits: ProbedLineWait[] = []

  constructor(port: OperationsPort, { comparison, patienceMs }: DriverOptions) {
    this.port = port
    this.comparison = comparison
    this.#patienceMs = patienceMs
  }

  /** Whether the port has this method. */
  has(method: OperationsMethod): boolean {
    return this.port[method] !== undefined
  }

  /** Calls a method of the port. Rejects with `unsupported`, naming the method, if there is none. */
  call<Method extends OperationsMethod>(method: Method, ...given: Given<Method>): Promise<Answer<Method>> {
    try {
      return Promise.resolve(this.#invoke(method, given) as Answer<Method>)
    } catch (refusal) {
      return Promise.reject(refusal)
    }
  }

  /** Records the expected result of a call; {@link verify} checks it. */
  expect(name: string, promise: PromiseLike<unknown>, expectation: CallExpectation): void {
    this.calls.push({ ...expectation, name, probe: new Probe(promise) })
  }

  /** Starts a watch and records its expected state. */
  watch(expected: OracleWatch): void {
    const controller = new AbortController()
    const promise = this.call('registerWatcher', expected.operationId, { signal: controller.signal })
    this.watches.push({ expected, controller, probe: new Probe(promise) })
  }

  /** Starts a wait and records its expected state. */
  wait(expected: OracleWait): void {
    const controller = new AbortController()
    const { turnId, members } = expected
    let handle: unknown
    try {
      handle = this.#invoke('waitAll', [turnId, members, { signal: controller.signal }])
    } catch (refusal) {
      handle = Promise.reject(refusal)
    }
    const giveUp = isDisposable(handle) ? () => handle[Symbol.dispose]() : () => controller.abort('given up')
    this.waits.push({ expected, giveUp, probe: new Probe(Promise.resolve(handle)) })
  }

  /** Runs an operation once there is room, and records its expected state. */
  queue(expected: OracleLineRun, spec: OperationSpec): void {
    this.runs.push({ expected, probe: new Probe(this.call('queue', spec)) })
  }

  /** Starts a wait for operations that may be queued, and records its expected state. */
  waitForQueued(expected: OracleLineWait): void {
    const { turnId, members } = expected
    this.lineWaits.push({ expected, probe: new Probe(this.call('waitForQueued', turnId, members)) })
  }

  /** Drops the watches and waits of a process that has ended. */
  forgetWaiters(): void {
    this.watches = []
    this.waits = []
    this.runs = []
    this.lineWaits = []
  }

  /** Checks all calls since the last time, and all watches and waits. */
  async verify(): Promise<void> {
    const watches = this.watches.filter(({ expected: { state } }) => state === 'resolved' || state === 'abandoned')
    const waits = this.waits.filter(({ expected: { state } }) => !['pending', 'closed'].includes(state))
    const runs = this.runs.filter(({ expected: { state } }) => state === 'ended' || state === 'refused')
    const lineWaits = this.lineWaits.filter(
      ({ expected: { begun, refusal } }) => refusal !== undefined || begun?.state === 'acknowledged',
    )
    const due = [...this.calls, ...watches, ...waits, ...runs, ...lineWaits]
    await settledWithin(
      this.#patienceMs,
      due.map(({ probe }) => probe),
    )
    await nextTurn()
    for (const call of this.calls.splice(0)) this.verifyCall(call)
    for (const watched of this.watches) this.verifyWatch(watched)
    for (const waited of this.waits) this.verifyWait(waited)
    for (const run of this.runs) this.#verifyRun(run)
    for (const waited of this.lineWaits) this.#verifyLineWait(waited)
  }

  /**
   * Repeats a check that may fail for a short time: the children of an operation end after it, each once its end is
   * durable (O-150), and reads in between do not wait for that. Rejects with the last failure.
   */
  async inTheEnd(check: () => Promise<void>): Promise<void> {
    const untilMs = performance.now() + Math.min(this.#patienceMs, longestCascadeMs)
    for (;;) {
      try {
        return await check()
      } catch (disagreement) {
        if (performance.now() >= untilMs) throw disagreement
        await nextTurn()
      }
    }
  }

  /** Checks a call whose effects are durable. */
  verifyCall({ name, probe: { state, code }, verdict, value }: ProbedCall): void {
    if (verdict.refused === undefined) {
      assert.equal(state.type, 'resolved', `${name} should be taken, but ${textOf(state.type, code)}`)
      // If no value is expected, a registry must resolve with `undefined`.
      if (value !== undefined || this.comparison === 'whole')
        this.#same((state as { readonly value: unknown }).value, value, name)
      return
    }
    this.#verifyRefusal(name, { state, code }, verdict)
  }

  /** Checks the state of a watch. */
  verifyWatch({ expected: { operationId, state, outcome }, probe }: ProbedWatch): void {
    const name = `watch of ${operationId}`
    switch (state) {
      case 'pending':
        return assert.equal(
          probe.state.type,
          'pending',
          `${name} should be pending, but ${textOf(probe.state.type, probe.code)}`,
        )
      case 'resolved':
        return this.#same(probe.state, { type: 'resolved', value: outcome }, name)
      case 'abandoned':
        assert.equal(probe.state.type, 'rejected', `${name}, which was given up`)
        if (this.comparison === 'whole') assert.equal(probe.code, 'abandoned', name)
        return
      case 'closed':
        return assert.notEqual(probe.state.type, 'resolved', `${name}, whose system is gone`)
    }
  }

  /** Checks the state of a wait. */
  verifyWait({ expected: { members, outcomes, turnId, state }, probe }: ProbedWait): void {
    switch (state) {
      case 'pending':
        return assert.equal(probe.state.type, 'pending', 'an unsatisfied wait')
      case 'satisfied':
      case 'acknowledged': {
        assert.equal(probe.state.type, 'resolved', `a satisfied wait ${textOf(probe.state.type, probe.code)}`)
        const { value } = probe.state as {
          readonly value: { readonly outcomes: unknown; readonly satisfied?: Obligation }
        }
        const inRequestOrder = members.map((operationId) => ({ operationId, outcome: outcomes.get(operationId) }))
        if (value.outcomes !== undefined || this.comparison === 'whole') {
          this.#same(value.outcomes, inRequestOrder, 'outcomes in request order')
        }
        const { satisfied } = value
        if (satisfied === undefined && this.comparison === 'reported') return
        const obligation = { turnId: satisfied?.turnId, operationIds: satisfied?.operationIds }
        return this.#same(obligation, { turnId, operationIds: members }, 'the obligation')
      }
      case 'cancelled':
        return assert.equal(probe.state.type, 'rejected', 'a wait that was given up')
      case 'closed':
        return assert.notEqual(probe.state.type, 'resolved', 'a wait whose system is gone')
    }
  }

  #verifyRefusal(
    name: string,
    { state, code }: Pick<Probe, 'state' | 'code'>,
    { refused, data: expected }: Refusal,
  ): void {
    assert.equal(code, refused, `${name} should be refused with ${refused}, but ${textOf(state.type, code)}`)
    const { data } = (state as { readonly reason: { readonly data?: unknown } }).reason
    const isLeftOut = this.comparison === 'reported' && data === undefined
    if (expected !== undefined && !isLeftOut) this.#same(data, expected, `data of the refusal of ${name}`)
  }

  #verifyRun({ expected: { id, state, outcome, refusal }, probe }: ProbedRun): void {
    const name = `outcome of ${id}, which runs when there is room,`
    if (state === 'ended') return this.#same(probe.state, { type: 'resolved', value: outcome }, name)
    if (refusal !== undefined) return this.#verifyRefusal(name, probe, refusal)
    if (state === 'closed') return assert.notEqual(probe.state.type, 'resolved', `${name} whose session is gone`)
    assert.equal(probe.state.type, 'pending', `${name} is ${state}, but ${textOf(probe.state.type, probe.code)}`)
  }

  #verifyLineWait({ expected: { turnId, members, begun, refusal, isClosed }, probe }: ProbedLineWait): void {
    const name = `wait of turn ${turnId} for what may be in line`
    if (refusal !== undefined) return this.#verifyRefusal(name, probe, refusal)
    if (begun !== undefined) return this.verifyWait({ expected: begun, probe, giveUp: () => {} })
    if (isClosed) return assert.notEqual(probe.state.type, 'resolved', `${name}, whose session is gone`)
    assert.equal(probe.state.type, 'pending', `${name}: not all of ${members.join(', ')} have begun`)
  }

  #same(actual: unknown, expected: unknown, what: string): void {
    assertSame(actual, expected, what, this.comparison)
  }

  #invoke(method: OperationsMethod, given: readonly unknown[]): unknown {
    const called = this.port[method] as ((...given: readonly unknown[]) => unknown) | undefined
    if (called === undefined) throw unsupported(method)
    return called.apply(this.port, [...given])
  }
}

interface Obligation {
  readonly turnId?: unknown
  readonly operationIds?: unknown
}

function isDisposable(value: unknown): value is Disposable {
  return typeof value === 'object' && value !== null && Symbol.dispose in value
}

function textOf(type: 'pending' | 'resolved' | 'rejected', code: string | undefined): string {
  if (type === 'rejected') return `it was refused with ${code}`
  return type === 'resolved' ? 'it was taken' : 'no answer came'
}
