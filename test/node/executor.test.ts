import { beforeEach, describe, expect, it } from 'vitest'
import { DeadlineQueue } from '../../src/base/deadline-queue.js'
import { silentLogger } from '../../src/base/logger.js'
import type { NodeAction, PendingAction } from '../../src/node/action.js'
import type { Admission } from '../../src/node/admission.js'
import type { BackpressureEdge } from '../../src/node/dispatch.js'
import { NodeError } from '../../src/node/errors.js'
import { Executor, type ExecutorGate } from '../../src/node/executor.js'
import type { ChainId, NodeId } from '../../src/node/ids.js'
import type { ActionDisposition } from '../../src/node/records.js'
import { SimulatedClock } from '../../src/testing/index.js'

const chain = (name: string): ChainId => name.padStart(16, '0') as ChainId
const node = (name: string): NodeId => name.padStart(16, '0') as NodeId
const pull = (name: string): NodeAction => ({ type: 'pull_replica', chain: chain(name), source: node('1') })
const drop = (name: string): NodeAction => ({ type: 'drop_replica', chain: chain(name) })

let clock: SimulatedClock
let deadlines: DeadlineQueue
let nextId: number
let dispatched: PendingAction[]
let dispositions: [number, ActionDisposition][]
let failures: [number, string][]
let edges: BackpressureEdge[]
let answer: (pending: PendingAction) => void | Promise<void>

beforeEach(() => {
  clock = new SimulatedClock()
  deadlines = new DeadlineQueue(clock)
  nextId = 1
  dispatched = []
  dispositions = []
  failures = []
  edges = []
  answer = () => {}
})

function executorOf(
  admit: (pending: PendingAction, now: number) => Admission = () => ({ status: 'admitted' }),
  rest: Partial<ExecutorGate> = {},
  capacity = 8,
) {
  return new Executor({
    capacity,
    maxDeferCount: 3,
    gate: withGetters({ admit, release: () => {}, measure: () => undefined, isAsserted: false }, rest),
    dispatcher: {
      dispatch: (pending) => {
        dispatched.push(pending)
        return answer(pending)
      },
      onClusterBackpressure: (edge) => edges.push(edge),
    },
    recorder: {
      disposed: ({ id }, disposition) => dispositions.push([id, disposition]),
      failed: ({ id }, reason) => failures.push([id, reason]),
    },
    clock,
    deadlines,
    logger: silentLogger,
  })
}

/** Merges without reading what is to be read later. */
function withGetters(gate: ExecutorGate, rest: Partial<ExecutorGate>): ExecutorGate {
  return Object.defineProperties(gate, Object.getOwnPropertyDescriptors(rest))
}

const pending = (action: NodeAction): PendingAction => ({ id: nextId++, action, emittedAt: clock.monotonicNow() })

/** Lets everything run that waits for nothing but its turn. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate)
}

describe('the executor', () => {
  it('[N-410] carries actions out one after another, in order, and takes no more than it has room for', async () => {
    const executor = executorOf(undefined, {}, 2)
    let release = (): void => {}
    answer = () => new Promise((resolve) => (release = resolve))
    expect([1, 2, 3].map(() => executor.offer(pending(drop('a'))))).toEqual([true, true, false])
    await settle()
    expect(dispatched.map(({ id }) => id)).toEqual([1])
    expect(executor.state).toBe('dispatching')
    release()
    await settle()
    expect(dispatched.map(({ id }) => id)).toEqual([1, 2])
    release()
    await settle()
    expect(dispositions).toEqual([
      [1, { status: 'dispatched' }],
      [2, { status: 'dispatched' }],
    ])
    expect(executor.stats).toMatchObject({ dispatched: 2, failed: 0 })
    await executor.close()
    expect(executor.offer(pending(drop('a')))).toBe(false)
  })

  it('[N-411] puts off what may not be done yet, and dispatches it when its time has come', async () => {
    const notBefore = 150
    const executor = executorOf((_, now) =>
      now >= notBefore ? { status: 'admitted' } : { status: 'deferred', retryAfterMs: notBefore - now },
    )
    executor.offer(pending(pull('a')))
    await settle()
    clock.advance(149)
    await settle()
    expect(dispatched).toEqual([])
    clock.advance(1)
    await settle()
    expect(dispatched.map(({ id }) => id)).toEqual([1])
    expect(executor.stats).toMatchObject({ deferred: 1, dispatched: 1 })
    // Putting off is no outcome: the chain has the one record.
    expect(dispositions).toEqual([[1, { status: 'dispatched' }]])
  })

  it('[N-411] keeps one of each kind and target: what is asked for again takes the place of what waits', async () => {
    const executor = executorOf(() => ({ status: 'deferred', retryAfterMs: 60_000 }))
    for (let pass = 0; pass < 50; pass += 1) {
      executor.offer(pending(pull('a')))
      executor.offer(pending(pull('b')))
      executor.offer(pending(drop('a')))
      await settle()
    }
    expect(executor.depth).toBe(3)
    expect(executor.stats.coalesced).toBe(147)
    const ended = executor.close()
    await ended
    // The latest of each was left, and is told of (H-8).
    expect(failures.map(([id]) => id).toSorted((one, other) => one - other)).toEqual([148, 149, 150])
    expect(clock.pendingTimeouts).toBe(0)
  })

  it('[N-412] gives up what was put off too often', async () => {
    const executor = executorOf(() => ({ status: 'deferred', retryAfterMs: 10 }))
    executor.offer(pending(pull('a')))
    for (let turn = 0; turn < 10; turn += 1) {
      await settle()
      clock.advance(10)
    }
    await settle()
    expect(failures).toEqual([[1, 'deferred 3 times']])
    expect(executor.stats).toMatchObject({ deferred: 3, failed: 1 })
  })

  it('[N-412] tries again what a dispatcher says is worth it, and fails what is not', async () => {
    const executor = executorOf()
    let calls = 0
    answer = ({ action }) => {
      calls += 1
      if (action.type === 'drop_replica') throw new NodeError('node.dispatch_failed', { reason: 'no such chain' })
      throw new NodeError('node.dispatch_failed', { reason: 'busy', retryAfterMs: 5 })
    }
    executor.offer(pending(drop('a')))
    executor.offer(pending(pull('a')))
    for (let turn = 0; turn < 10; turn += 1) {
      await settle()
      clock.advance(5)
    }
    // One for the drop; for the pull one, and as many again as its budget holds.
    expect(calls).toBe(1 + 4)
    expect(failures).toEqual([
      [1, 'no such chain'],
      [2, 'busy; budget of 3 retries exhausted'],
    ])
    expect(dispositions.filter(([id]) => id === 2)).toEqual([
      ...Array.from({ length: 3 }, () => [2, { status: 'failed', reason: 'busy', retryAfterMs: 5 }]),
      [2, { status: 'failed', reason: 'busy; budget of 3 retries exhausted' }],
    ])
  })

  it('[N-413] loses one action to a dispatcher that throws, and releases what it had reserved', async () => {
    const released: number[] = []
    const executor = executorOf(undefined, { release: ({ id }) => void released.push(id) })
    answer = ({ id }) => {
      if (id === 1) throw new TypeError('oops')
    }
    executor.offer(pending(drop('a')))
    executor.offer(pending(drop('b')))
    await settle()
    expect(failures).toEqual([[1, 'the dispatcher threw: oops']])
    expect(dispositions[1]).toEqual([2, { status: 'dispatched' }])
    expect(released).toEqual([1])
  })

  it('[N-413] never hands a gated action to the dispatcher', async () => {
    const executor = executorOf(() => ({ status: 'gated', reason: 'daemon-backoff', until: 500 }))
    executor.offer(pending(drop('a')))
    await settle()
    expect(dispatched).toEqual([])
    expect(dispositions).toEqual([[1, { status: 'gated', reason: 'daemon-backoff', cooldownMs: 500 }]])
    expect(failures).toEqual([[1, 'gated (daemon-backoff) for 500 ms']])
    expect(executor.stats.gated).toBe(1)
  })

  it('[N-414] passes on both edges of the cluster flag, the falling one also while nothing happens', async () => {
    let asserted = false
    const depths: number[] = []
    const executor = executorOf(undefined, {
      get isAsserted() {
        return asserted
      },
      measure: (depth) => {
        depths.push(depth)
        const isOver = depth >= 3
        if (isOver === asserted || (asserted && depth > 0)) return undefined
        asserted = isOver
        return { type: isOver ? 'asserted' : 'released', level: isOver ? 1 : 0 }
      },
    })
    for (let index = 0; index < 3; index += 1) executor.offer(pending(drop(String(index))))
    await settle()
    expect(edges.map(({ type }) => type)).toEqual(['asserted'])
    clock.advance(100)
    expect(edges.map(({ type }) => type)).toEqual(['asserted', 'released'])
    expect(depths[0]).toBe(3)
    expect(executor.stats).toMatchObject({ clusterBackpressureAsserts: 1, clusterBackpressureReleases: 1 })
    await executor.close()
    expect(clock.pendingTimeouts).toBe(0)
  })

  it('[N-415] records once what nothing here can carry out, however often it is asked for', async () => {
    const executor = executorOf()
    answer = () => {
      throw new NodeError('node.unsupported', { action: 'pull_replica', needed: 'replica store' })
    }
    for (let pass = 0; pass < 5; pass += 1) {
      executor.offer(pending(pull('a')))
      executor.offer(pending(pull('b')))
      await settle()
    }
    expect(failures.map(([id]) => id)).toEqual([1, 2])
    expect(dispositions.map(([id, { status }]) => [id, status])).toEqual([
      [1, 'failed'],
      [2, 'failed'],
    ])
    expect(executor.stats.failed).toBe(10)
  })

  it('[N-410] finishes what is queued when it is closed, and ends then', async () => {
    const executor = executorOf()
    for (let index = 0; index < 3; index += 1) executor.offer(pending(drop(String(index))))
    await executor.close()
    expect(dispatched.map(({ id }) => id)).toEqual([1, 2, 3])
    expect(executor.state).toBe('ended')
  })
})
