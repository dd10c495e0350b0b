import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createUuidSource } from '../../src/base/ids.js'
import { abortable } from '../../src/base/promises.js'
import { silentLogger } from '../../src/base/logger.js'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { Awaiter } from '../../src/processes/awaiter.js'
import { ProcessError } from '../../src/processes/errors.js'
import type { WorkerFault } from '../../src/processes/event-sink.js'
import {
  openProcessStore,
  type AwaitOutput,
  type OpenedProcessStore,
  type ProcessStore,
} from '../../src/processes/index.js'
import type { RunContext } from '../../src/processes/runner.js'
import { watchStore } from '../../src/processes/watched-store.js'
import { Worker, type WorkerOptions } from '../../src/processes/worker.js'
import { engine, external } from '../../src/testing/processes/fixture.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { JobList } from '../../src/work/job-list.js'
import { settle } from './support/scripted-store.js'

const done: AwaitOutput = { type: 'success', value: 'done' }
const request = { requestedBy: 'somebody', requestedAtMs: 1 }

let clock: SimulatedClock
let faults: WorkerFault[]
let open: OpenedProcessStore
let dead: Set<string>
let closing: (() => Promise<void>)[]

beforeEach(async () => {
  clock = new SimulatedClock()
  faults = []
  closing = []
  dead = new Set()
  open = await openProcessStore({ clock, isHolderDead: ({ leaseToken }) => dead.has(leaseToken) })
})
afterEach(async () => {
  for (const close of closing) await close()
  await open.close()
})

type Run = (context: RunContext) => AwaitOutput | Promise<AwaitOutput>

function workerOf(run: Run, options: Partial<WorkerOptions> & { readonly name?: string } = {}): Worker {
  const { name = 'w', store: given, ...rest } = options
  const { store, hub } = watchStore(given ?? open, { clock })
  const awaiter = new Awaiter({ store, hub, clock })
  const worker = new Worker({
    store,
    awaiter,
    runner: { canRun: () => true, run: async (context) => run(context) },
    owner: { ownerId: name, incarnationId: 'first' },
    clock,
    ids: createUuidSource({ now: () => clock.wallNow() }),
    jobs: new JobList(),
    logger: silentLogger,
    sink: { emit: () => {}, emitWorkerFault: (fault) => void faults.push(fault) },
    ...rest,
  })
  closing.push(async () => {
    const closed = worker.close()
    await settle()
    clock.advance(5000)
    await closed
    awaiter[Symbol.dispose]()
  })
  return worker
}

const statusOf = async (id: string, store: ProcessStore = open) => (await store.getProcess(id))?.status

describe('what a sweep does [P-170]', () => {
  it('runs what can be run again, once, and leaves nothing for a second sweep', async () => {
    await open.registerProcess(engine('p', 'rerunnable'))
    let runs = 0
    const worker = workerOf(() => {
      runs += 1
      return done
    })
    expect(await worker.claimAndRunPending()).toEqual({ intake: 'scanned', admitted: ['p'], deferred: [] })
    await worker.idle()
    expect(await worker.claimAndRunPending()).toEqual({ intake: 'scanned', admitted: [], deferred: [] })
    expect([runs, await statusOf('p'), await open.getLease('p')]).toEqual([1, 'completed', undefined])
  })

  it('never claims what is owned outside', async () => {
    await open.registerProcess(external('p'))
    const report = await workerOf(() => done).claimAndRunPending()
    expect(report.deferred).toEqual([{ processId: 'p', disposition: { type: 'externally_owned' } }])
    expect(await open.getLease('p')).toBeUndefined()
  })

  it('gives up what is owned outside when that was asked for, without naming an owner', async () => {
    await open.registerProcess(external('p'))
    await open.requestAbandon('p', request)
    await workerOf(() => done).claimAndRunPending()
    expect(await open.getProcess('p')).toMatchObject({
      status: 'abandoned',
      outcome: { type: 'abandoned', evidence: { writer: 'reconciled_request', epochMs: clock.wallNow() } },
    })
    expect((await open.getProcess('p'))?.outcome).not.toHaveProperty('evidence.owner')
  })

  it('runs what is bound to an owner while nobody has started it', async () => {
    await open.registerProcess(engine('p', 'owner_bound'))
    const worker = workerOf(() => done)
    await worker.claimAndRunPending()
    await worker.idle()
    expect(await open.getProcess('p')).toMatchObject({ status: 'completed', firstStarted: { owner: { ownerId: 'w' } } })
  })

  /** An owner-bound process that another worker has started under a lease. */
  async function startedElsewhere() {
    await open.registerProcess(engine('p', 'owner_bound'))
    const owner = { ownerId: 'other', incarnationId: 'first' }
    const claimed = await open.claimLease('p', owner, 1000)
    if (claimed.outcome !== 'acquired') throw new Error('busy')
    await open.recordFirstStarted('p', { owner, startedAtMs: 1 }, { lease: claimed.lease })
    return claimed.lease
  }

  it('leaves what a silent owner has started, however long ago', async () => {
    await startedElsewhere()
    const worker = workerOf(() => done)
    expect((await worker.claimAndRunPending()).deferred).toEqual([{ processId: 'p', disposition: { type: 'busy' } }])
    clock.advance(1_000_000)
    // It has looked again by itself.
    await settle()
    const { deferred } = await worker.claimAndRunPending()
    expect(deferred).toEqual([{ processId: 'p', disposition: { type: 'owner_bound' } }])
    expect([await statusOf('p'), await open.getLease('p')]).toEqual(['running', undefined])
  })

  it('gives up what a dead owner has started, and refuses what he comes back with', async () => {
    const lease = await startedElsewhere()
    dead.add(lease.leaseToken)
    await workerOf(() => done).claimAndRunPending()
    expect(await open.getProcess('p')).toMatchObject({
      status: 'abandoned',
      outcome: { evidence: { writer: 'sweep', owner: { ownerId: 'other' } } },
    })
    expect(await open.completeWithLease(lease, done)).toMatchObject({
      outcome: 'superseded',
      record: { status: 'abandoned' },
    })
  })

  it('gives up what a lapsed owner has started when that was asked for, naming who started it', async () => {
    await startedElsewhere()
    await open.requestAbandon('p', request)
    clock.advance(1000)
    await workerOf(() => done).claimAndRunPending()
    expect((await open.getProcess('p'))?.outcome).toMatchObject({
      evidence: { writer: 'reconciled_request', owner: { ownerId: 'other' } },
    })
  })

  it('ends as given up what was started as often as it may be', async () => {
    await open.registerProcess(engine('p', 'rerunnable', { maxAttempts: 1 }))
    const worker = workerOf(() => {
      throw new Error('no such model')
    })
    await worker.claimAndRunPending()
    await worker.idle()
    expect(await statusOf('p')).toBe('running')
    await worker.claimAndRunPending()
    expect(await open.getProcess('p')).toMatchObject({
      status: 'abandoned',
      outcome: { evidence: { writer: 'engine_gave_up' } },
    })
  })

  it('tries again by itself what could not be run', async () => {
    await open.registerProcess(engine('p', 'rerunnable'))
    let tries = 0
    const worker = workerOf(() => {
      tries += 1
      if (tries === 1) throw new Error('no such model')
      return done
    })
    await worker.claimAndRunPending()
    await worker.idle()
    expect(faults).toMatchObject([{ type: 'row_run_failed', processId: 'p', message: 'no such model' }])
    clock.advance(5000)
    await settle()
    await worker.idle()
    expect([tries, await statusOf('p')]).toEqual([2, 'completed'])
  })

  it('leaves to others what it has not got', async () => {
    await open.registerProcess(engine('p', 'rerunnable'))
    const worker = workerOf(() => done, { runner: { canRun: () => false, run: () => Promise.reject(new Error('no')) } })
    const { deferred } = await worker.claimAndRunPending()
    expect(deferred).toEqual([{ processId: 'p', disposition: { type: 'kind_unknown' } }])
  })

  it('after a restart gives up the started one that nobody may repeat, and runs its sibling again', async () => {
    const journal = createMemoryJournal()
    const first = await openProcessStore({ clock, journal })
    for (const disposition of ['owner_bound', 'rerunnable'] as const) {
      await first.registerProcess(engine(disposition, disposition))
      const claimed = await first.claimLease(disposition, { ownerId: 'w', incarnationId: 'old' }, 30_000)
      if (claimed.outcome !== 'acquired') throw new Error('busy')
      const start = { owner: claimed.lease.owner, startedAtMs: 1 }
      await first.recordFirstStarted(disposition, start, { lease: claimed.lease })
    }
    await first.close()
    const second = await openProcessStore({ clock, journal })
    closing.push(() => second.close())
    const ran: string[] = []
    const worker = workerOf(
      ({ record }) => {
        ran.push(record.id)
        return done
      },
      { store: second },
    )
    await worker.claimAndRunPending()
    await worker.idle()
    expect(ran).toEqual(['rerunnable'])
    expect(await second.getProcess('owner_bound')).toMatchObject({ status: 'abandoned' })
    expect(await second.getProcess('rerunnable')).toMatchObject({
      status: 'completed',
      firstStarted: { attempt: 2, fencingToken: 2 },
    })
  })
})

describe('a run', () => {
  it('is told of a request to cancel, also of one from before it began', async () => {
    for (const isEarly of [true, false]) {
      const id = `p-${isEarly}`
      const cancel = { eventType: 'process.cancel_requested', payload: { reason: 'enough' }, replay: { key: 'c' } }
      await open.registerProcess(engine(id, 'rerunnable'))
      if (isEarly) await open.appendEvent(id, cancel)
      let wasTold = false
      const worker = workerOf(
        ({ job }) => {
          wasTold = job.signal.aborted
          return abortable(new Promise(() => {}), job.signal)
        },
        { name: id },
      )
      await worker.claimAndRunPending()
      await settle()
      expect(wasTold).toBe(isEarly)
      if (!isEarly) await open.appendEvent(id, cancel)
      await worker.idle()
      expect(await statusOf(id)).toBe('cancelled')
      expect((await open.getProcess(id))?.outcome).toMatchObject({ raw: { reason: 'enough' } })
    }
  })

  it('is told of a request to cancel also after the store was away for a while (P-283)', async () => {
    await open.registerProcess(engine('p', 'rerunnable'))
    let failures = 2
    const store = failing(open, { firstEventAfter: () => failures-- > 0 })
    const worker = workerOf(({ job }) => abortable(new Promise(() => {}), job.signal), { store })
    await worker.claimAndRunPending()
    for (let passed = 0; passed < 2; passed += 1) {
      await settle()
      clock.advance(1000)
    }
    await settle()
    const payload = { reason: 'enough' }
    await open.appendEvent('p', { eventType: 'process.cancel_requested', payload, replay: { key: 'c' } })
    await worker.idle()
    expect(await open.getProcess('p')).toMatchObject({ status: 'cancelled', outcome: { raw: payload } })
    expect(faults).toMatchObject([{ operation: 'watch for a request to cancel' }])
  })

  it('keeps the reason of a request from before it began, however soon it ends', async () => {
    await open.registerProcess(engine('p', 'rerunnable'))
    const payload = { reason: 'enough' }
    await open.appendEvent('p', { eventType: 'process.cancel_requested', payload, replay: { key: 'c' } })
    const worker = workerOf(({ job }) => {
      job.signal.throwIfAborted()
      return done
    })
    await worker.claimAndRunPending()
    await worker.idle()
    expect((await open.getProcess('p'))?.outcome).toMatchObject({ type: 'cancelled', raw: payload })
  })

  it('looks for a request to cancel after a moment where a look is a round trip, and is told of one that came before', async () => {
    let looks = 0
    const counted = failing(open, {
      firstEventAfter: () => {
        looks += 1
        return false
      },
    })
    const store = new Proxy(counted, {
      get: (target, name) => (name === 'writers' ? 'many' : name === 'hub' ? undefined : Reflect.get(target, name)),
    })
    for (const id of ['short', 'long']) await open.registerProcess(engine(id))
    const worker = workerOf(
      ({ record, job }) => (record.id === 'short' ? done : abortable(new Promise(() => {}), job.signal)),
      { store },
    )
    await worker.claimAndRunPending()
    await settle()
    expect([await statusOf('short'), looks]).toEqual(['completed', 0])
    const cancel = { eventType: 'process.cancel_requested', payload: null, replay: { key: 'c' } }
    await open.appendEvent('long', cancel)
    clock.advance(24)
    await settle()
    expect([await statusOf('long'), looks]).toEqual(['running', 0])
    clock.advance(1)
    await settle()
    await worker.idle()
    expect([await statusOf('long'), looks]).toEqual(['cancelled', 1])
  })

  it('keeps its lease while it works, and one that lost it writes nothing', async () => {
    await open.registerProcess(engine('p', 'rerunnable'))
    let finish!: () => void
    let held: RunContext | undefined
    const worker = workerOf(async (context) => {
      held = context
      await new Promise<void>((resolve) => (finish = resolve))
      return done
    })
    await worker.claimAndRunPending()
    await settle()
    for (let passed = 0; passed < 60_000; passed += 10_000) {
      clock.advance(10_000)
      await settle()
    }
    const lease = await open.getLease('p')
    expect(lease?.expiresAtMs).toBe(clock.wallNow() + 30_000)
    dead.add(lease?.leaseToken ?? '')
    const taken = await open.reclaimLease('p', { ownerId: 'x', incarnationId: 'y' }, lease as never, 30_000)
    expect(taken.outcome).toBe('acquired')
    clock.advance(10_000)
    await settle()
    expect(held?.job.signal.reason).toMatchObject({ code: 'process.lease_superseded' })
    const late = { eventType: 'note', payload: null }
    const writing = held?.store.appendEvent('p', late, { lease: held.lease() })
    await expect(writing).rejects.toMatchObject({ code: 'process.lease_superseded' })
    finish()
    await worker.idle()
    expect([await statusOf('p'), (await open.getLease('p'))?.owner.ownerId]).toEqual(['running', 'x'])
  })

  it('outlives a renewal that fails, and is told to stop before its lease runs out, whatever the clock of the store says (P-281)', async () => {
    // An hour behind that of this host.
    const behind = await openProcessStore({
      clock: {
        wallNow: () => clock.wallNow() - 3_600_000,
        monotonicNow: () => clock.monotonicNow(),
        setTimeout: (callback, ms) => clock.setTimeout(callback, ms),
        clearTimeout: (handle) => clock.clearTimeout(handle),
      },
    })
    await behind.registerProcess(engine('p', 'rerunnable'))
    let isFailing = false
    let run: RunContext | undefined
    const worker = workerOf(
      (context) => {
        run = context
        return abortable(new Promise<AwaitOutput>(() => {}), context.job.signal)
      },
      { store: failing(behind, { renewLeases: () => isFailing }) },
    )
    await worker.claimAndRunPending()
    const renewals = async (...outcomes: readonly boolean[]): Promise<boolean> => {
      for (isFailing of outcomes) {
        clock.advance(10_000)
        await settle()
      }
      return run?.job.signal.aborted === true
    }
    expect(await renewals(true)).toBe(false)
    expect(await renewals(false, true)).toBe(false)
    expect(await renewals(true)).toBe(true)
    expect(run?.job.signal.reason).toMatchObject({ code: 'process.run_stopped', data: { cause: 'store_failed' } })
    await worker.close()
    await behind.close()
  })

  it('offers its end until the store takes it, and says so once', async () => {
    await open.registerProcess(engine('p', 'rerunnable'))
    let failures = 2
    const store = failing(open, {
      completeWithLease: () => {
        failures -= 1
        return failures >= 0
      },
    })
    const worker = workerOf(() => done, { store })
    await worker.claimAndRunPending()
    await settle()
    clock.advance(100)
    await settle()
    clock.advance(200)
    await worker.idle()
    expect([await statusOf('p'), faults.length, faults[0]?.operation]).toEqual(['completed', 1, 'write its end'])
  })

  it('whose output is too large ends as a failure that says so', async () => {
    await open.registerProcess(engine('p', 'rerunnable'))
    const worker = workerOf(() => ({ type: 'success', value: 'x'.repeat(2 ** 21) }))
    await worker.claimAndRunPending()
    await worker.idle()
    expect(await open.getProcess('p')).toMatchObject({ status: 'failed', outcome: { code: 'process_output_refused' } })
  })

  it('is told to stop when the worker closes; what can be run again is free at once', async () => {
    for (const disposition of ['rerunnable', 'owner_bound'] as const) {
      await open.registerProcess(engine(disposition, disposition))
    }
    const worker = workerOf(() => new Promise(() => {}))
    await worker.claimAndRunPending()
    const closed = worker.close()
    await settle()
    clock.advance(5000)
    await closed
    expect(await open.getLease('rerunnable')).toBeUndefined()
    expect((await open.getLease('owner_bound'))?.owner.ownerId).toMatch(/^w:recovery:/)
    await expect(worker.claimAndRunPending()).rejects.toMatchObject({ code: 'process.worker_closed' })
    expect(clock.pendingTimeouts).toBe(0)
  })
})

describe('how much runs [P-176]', () => {
  it('finishes chains of depth 3 at concurrency 1: what waits gives its slot back', async () => {
    for (const id of ['parent', 'child', 'grandchild']) await open.registerProcess(engine(id, 'rerunnable'))
    const childOf: Record<string, string> = { parent: 'child', child: 'grandchild' }
    const running = { now: 0, most: 0 }
    const { store, hub } = watchStore(open, { clock })
    const awaiter = new Awaiter({ store, hub, clock })
    const worker = workerOf(
      async ({ record, job }) => {
        running.now += 1
        running.most = Math.max(running.most, running.now)
        const child = childOf[record.id]
        if (child !== undefined) {
          running.now -= 1
          await job.wait(() => awaiter.awaitTerminal(child))
          running.now += 1
        }
        running.now -= 1
        return done
      },
      { concurrency: 1 },
    )
    await worker.claimAndRunPending()
    await worker.idle()
    const ended = ['parent', 'child', 'grandchild'].map((id) => statusOf(id))
    expect(await Promise.all(ended)).toEqual(['completed', 'completed', 'completed'])
    expect(running.most).toBe(1)
  })

  it('fetches no page that it has no room for, and goes on by itself when something ends', async () => {
    for (let count = 0; count < 6; count += 1) await open.registerProcess(engine(`p${count}`, 'rerunnable'))
    const finish: (() => void)[] = []
    const limits: number[] = []
    const store = failing(open, {
      listWork: (limit) => {
        limits.push(limit as number)
        return false
      },
    })
    const worker = workerOf(
      async () => {
        await new Promise<void>((resolve) => finish.push(resolve))
        return done
      },
      { store, concurrency: 2 },
    )
    const { admitted } = await worker.claimAndRunPending()
    await settle()
    expect([admitted, limits, finish.length]).toEqual([['p0', 'p1'], [2], 2])
    while (finish.length > 0) {
      finish.shift()?.()
      await settle()
    }
    await worker.idle()
    const live = await open.listNonTerminal()
    expect(live).toEqual([])
  })

  it('makes one more scan of drives that come while one is under way', async () => {
    await open.registerProcess(engine('p', 'rerunnable'))
    const worker = workerOf(() => done)
    const [first, second, third] = await Promise.all([
      worker.claimAndRunPending(),
      worker.claimAndRunPending(),
      worker.claimAndRunPending(),
    ])
    expect([first.intake, second.intake, third.intake]).toEqual(['scanned', 'coalesced', 'coalesced'])
    await worker.idle()
    expect(await statusOf('p')).toBe('completed')
  })

  it('reports a scan that fails three times, and the next drive goes on', async () => {
    await open.registerProcess(engine('p', 'rerunnable'))
    let failures = 3
    const store = failing(open, { listWork: () => failures-- > 0 })
    const worker = workerOf(() => done, { store })
    const driving = worker.claimAndRunPending()
    for (const delay of [10, 20]) {
      await settle()
      clock.advance(delay)
    }
    expect(await driving).toEqual({ intake: 'scanned', admitted: [], deferred: [] })
    expect(faults).toMatchObject([{ type: 'incomplete_scan' }])
    await worker.claimAndRunPending()
    await worker.idle()
    expect(await statusOf('p')).toBe('completed')
  })

  it.each(['getLease', 'claimLease', 'getProcess', 'recordFirstStarted', 'claimAndStart'])(
    'reports a failing %s once, and does not lose the process',
    async (method) => {
      // What may run again is claimed and started in one.
      await open.registerProcess(engine('p', method === 'claimAndStart' ? 'rerunnable' : 'owner_bound'))
      let failures = 1
      const store = failing(open, { [method]: () => failures-- > 0 })
      const worker = workerOf(() => done, { store })
      const { deferred } = await worker.claimAndRunPending()
      expect(deferred).toMatchObject([{ processId: 'p', disposition: { type: 'backend_error' } }])
      expect(faults).toHaveLength(1)
      clock.advance(30_000)
      await worker.claimAndRunPending()
      await worker.idle()
      expect(await statusOf('p')).toBe('completed')
    },
  )

  it('asks no faster for a timer that is over here, but not by the clock of the store (P-279)', async () => {
    let asked = 0
    const store: ProcessStore = new Proxy(open, {
      get: (target, name) => {
        if (name === 'nextWorkAtMs') return async () => ((asked += 1), clock.wallNow() - 3_600_000)
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      },
    })
    await workerOf(() => done, { store }).claimAndRunPending()
    for (let passed = 0; passed < 100; passed += 1) {
      clock.advance(1)
      await settle()
    }
    expect(asked).toBe(5)
  })

  it('looks again by itself for a process that the store would not let it claim (P-285)', async () => {
    await open.registerProcess(engine('p', 'rerunnable'))
    let failures = 1
    const store = failing(open, { claimAndStart: () => failures-- > 0 })
    const worker = workerOf(() => done, { store })
    await worker.claimAndRunPending()
    clock.advance(5000)
    await settle()
    await worker.idle()
    expect(await statusOf('p')).toBe('completed')
  })

  it('waits for the timer of what sleeps', async () => {
    await open.registerProcess(engine('p', 'rerunnable'))
    const untilMs = clock.wallNow() + 60_000
    await open.setWait('p', { sinceMs: clock.wallNow(), kind: { type: 'timer', untilMs } })
    const worker = workerOf(() => done)
    expect(await worker.claimAndRunPending()).toEqual({ intake: 'scanned', admitted: [], deferred: [] })
    clock.advance(60_000)
    await settle()
    await worker.idle()
    expect(await statusOf('p')).toBe('completed')
  })
})

describe('what was just started [P-256]', () => {
  /** A store that says how often it was asked for work, and with what left out. */
  function asked() {
    const scans: (readonly string[])[] = []
    const store = failing(open, {
      listWork: (_limit, _cursor, except) => {
        scans.push([...(except as ReadonlySet<string>)])
        return false
      },
    })
    return { store, scans }
  }

  /** Runs that a test lets end. */
  function held() {
    const finish: (() => void)[] = []
    const began: string[] = []
    const run = async ({ record }: RunContext): Promise<AwaitOutput> => {
      began.push(record.id)
      await new Promise<void>((resolve) => finish.push(resolve))
      return done
    }
    return { run, began, finishAll: () => finish.splice(0).forEach((end) => end()) }
  }

  it('is taken without a look at all that could be taken, as soon as there is room', async () => {
    const { store, scans } = asked()
    const { run, began, finishAll } = held()
    const worker = workerOf(run, { store, concurrency: 2 })
    for (const id of ['a', 'b', 'c', 'd']) worker.offer(await open.registerProcess(engine(id)))
    await settle()
    expect(began).toEqual(['a', 'b'])
    finishAll()
    await settle()
    expect([began, scans]).toEqual([['a', 'b', 'c', 'd'], []])
    finishAll()
    await worker.idle()
    expect([await open.listNonTerminal(), scans]).toEqual([[], []])
  })

  it('does not wait for a kind that is full', async () => {
    const { run, began, finishAll } = held()
    const worker = workerOf(run, { concurrency: 2 })
    worker.limit('full', { limit: 1 })
    const identity = { kind: 'full' }
    for (const id of ['a', 'b']) worker.offer(await open.registerProcess(engine(id, 'rerunnable', { identity })))
    for (const id of ['c', 'd']) worker.offer(await open.registerProcess(engine(id)))
    await settle()
    expect(began).toEqual(['a', 'c'])
    finishAll()
    await settle()
    expect(began.toSorted()).toEqual(['a', 'b', 'c', 'd'])
    finishAll()
    await worker.idle()
  })

  it('is looked for when too much of it waits for room', async () => {
    const { store, scans } = asked()
    const { run, began, finishAll } = held()
    const worker = workerOf(run, { store, concurrency: 1 })
    for (let count = 0; count < 1030; count += 1) worker.offer(await open.registerProcess(engine(`p${count}`)))
    await settle()
    expect([began.length, scans.length]).toEqual([1, 0])
    for (let ended = 1; ended <= 1030; ended += 1) {
      finishAll()
      await settle()
    }
    await worker.idle()
    expect([new Set(began).size, began.length, await open.listNonTerminal()]).toEqual([1030, 1030, []])
    expect(scans.length).toBeGreaterThan(0)
  })

  it('is not taken while the worker is held, also what was offered before', async () => {
    const { run, began, finishAll } = held()
    const worker = workerOf(run, { concurrency: 1 })
    for (const id of ['a', 'b']) worker.offer(await open.registerProcess(engine(id, 'owner_bound')))
    await settle()
    worker.hold()
    worker.offer(await open.registerProcess(engine('c')))
    finishAll()
    await worker.idle()
    await settle()
    expect(began).toEqual(['a'])
    worker.release()
    await worker.claimAndRunPending()
    for (let ended = 0; ended < 2; ended += 1) {
      await settle()
      finishAll()
    }
    await worker.idle()
    expect(began).toEqual(['a', 'b', 'c'])
  })

  it('is left to a scan while it waits for something', async () => {
    await open.registerProcess(engine('p'))
    const kind = { type: 'timer', untilMs: clock.wallNow() + 1000 } as const
    const record = await open.setWait('p', { sinceMs: clock.wallNow(), kind })
    const worker = workerOf(() => done)
    worker.offer(record)
    await worker.idle()
    expect([worker.size, await statusOf('p')]).toEqual([0, 'running'])
    clock.advance(1000)
    await settle()
    await worker.idle()
    expect(await statusOf('p')).toBe('completed')
  })

  it('is left out of scans once it runs here, and taken by nobody who is closed', async () => {
    const { store, scans } = asked()
    const { run, began } = held()
    const worker = workerOf(run, { store, concurrency: 1, graceMs: 0 })
    for (const id of ['a', 'b']) worker.offer(await open.registerProcess(engine(id)))
    await settle()
    const other = workerOf(run, { store, name: 'other', concurrency: 2 })
    await other.claimAndRunPending()
    await settle()
    expect([began, scans]).toEqual([['a', 'b'], [[]]])
    await other.claimAndRunPending()
    expect(scans).toEqual([[], ['b']])
    const closed = worker.close()
    worker.offer(await open.registerProcess(engine('late')))
    clock.advance(1)
    await settle()
    clock.advance(1)
    await closed
    expect(began).toEqual(['a', 'b'])
  })
})

describe('draining [P-179]', () => {
  it('gives up only what this worker has started and nobody may repeat', async () => {
    await open.registerProcess(engine('unstarted', 'owner_bound'))
    for (const [id, ownerId, disposition] of [
      ['mine', 'w', 'owner_bound'],
      ['theirs', 'other', 'owner_bound'],
      ['again', 'w', 'rerunnable'],
    ] as const) {
      await open.registerProcess(engine(id, disposition))
      const owner = { ownerId, incarnationId: 'first' }
      const claimed = await open.claimLease(id, owner, 1000)
      if (claimed.outcome !== 'acquired') throw new Error('busy')
      await open.recordFirstStarted(id, { owner, startedAtMs: 1 }, { lease: claimed.lease })
    }
    const worker = workerOf(() => done)
    expect(await worker.drainOwnerBoundWork()).toEqual({
      abandoned: [],
      deferred: [{ processId: 'mine', disposition: { type: 'busy' } }],
    })
    clock.advance(1000)
    expect(await worker.drainOwnerBoundWork()).toEqual({ abandoned: ['mine'], deferred: [] })
    expect(await open.getProcess('mine')).toMatchObject({
      outcome: { evidence: { writer: 'owner_drain', owner: { ownerId: 'w' } } },
    })
    expect((await open.listNonTerminal()).map(({ id }) => id)).toEqual(['again', 'theirs', 'unstarted'])
  })

  it('never reports a process whose end it could not write', async () => {
    await open.registerProcess(engine('p', 'owner_bound'))
    const owner = { ownerId: 'w', incarnationId: 'first' }
    const claimed = await open.claimLease('p', owner, 0)
    if (claimed.outcome !== 'acquired') throw new Error('busy')
    const again = await open.claimLease('p', owner, 1)
    if (again.outcome !== 'acquired') throw new Error('busy')
    await open.recordFirstStarted('p', { owner, startedAtMs: 1 }, { lease: again.lease })
    clock.advance(1)
    const worker = workerOf(() => done, { store: failing(open, { completeWithLease: () => true }) })
    expect(await worker.drainOwnerBoundWork()).toEqual({
      abandoned: [],
      deferred: [{ processId: 'p', disposition: { type: 'backend_error', operation: 'drain' } }],
    })
  })
})

/** The store, whose methods fail where the test says so. */
function failing(store: ProcessStore, fails: Record<string, (...args: readonly unknown[]) => boolean>): ProcessStore {
  return new Proxy(store, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      return (...args: readonly unknown[]) => {
        if (fails[String(name)]?.(...args) === true) {
          return Promise.reject(new ProcessError('store.unavailable', { store: 'test', reason: 'told to' }))
        }
        return Reflect.apply(value, target, args) as unknown
      }
    },
  })
}
