import { describe, expect, it } from 'vitest'
import type { InspectionEvent } from 'xstate'
import { DeadlineQueue } from '../../src/base/deadline-queue.js'
import { createDeferred } from '../../src/base/promises.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { Job, type JobOptions } from '../../src/work/job.js'
import { JobList } from '../../src/work/job-list.js'
import { Slots } from '../../src/work/slots.js'

type Cause = 'timeout' | 'cancelled' | 'shutdown'

function setUp() {
  const clock = new SimulatedClock(1000)
  const deadlines = new DeadlineQueue(clock)
  const jobs = new JobList()
  const slots = new Slots({ limit: 1, clock, deadlines })
  const jobOf = (options: Partial<JobOptions<Cause>> = {}) =>
    new Job<Cause>({
      id: 'j1',
      room: 'tasks',
      kind: 'report',
      displayName: 'Report 7',
      clock,
      deadlines,
      jobs,
      reasonOf: (cause) => `stopped: ${cause}`,
      timeoutCause: 'timeout',
      ...options,
    })
  const settled = () => new Promise(setImmediate)
  return { clock, jobs, slots, jobOf, settled }
}

describe('a job', () => {
  it('ends with what its function returned or threw, as it is', async () => {
    const { jobOf, jobs } = setUp()
    const value = { any: 'thing' }
    expect(await jobOf().run(() => value)).toEqual({ answer: { type: 'returned', value }, stopCause: undefined })
    const thrown: unknown = Object.create(null)
    const end = await jobOf().run(() => {
      throw thrown
    })
    expect(end.answer.type === 'threw' && end.answer.thrown === thrown).toBe(true)
    expect(jobs.size).toBe(0)
  })

  it('is listed while its code runs', async () => {
    const { jobOf, jobs } = setUp()
    const gate = createDeferred<void>()
    const job = jobOf()
    const end = job.run(() => gate.promise)
    expect(jobs.list()).toEqual([
      { id: 'j1', room: 'tasks', kind: 'report', displayName: 'Report 7', state: 'working', startedAtMs: 1000 },
    ])
    gate.resolve()
    await end
    expect([jobs.list(), job.state]).toEqual([[], 'ended'])
  })

  it('is listed with its owner and how far it says it is', () => {
    const { jobOf, jobs } = setUp()
    const job = jobOf({ owner: 'task 9' })
    void job.run(() => job.reportProgress({ message: 'halfway', fraction: 0.5 }) ?? new Promise(() => {}))
    expect(jobs.list()).toMatchObject([{ owner: 'task 9', progress: { message: 'halfway', fraction: 0.5 } }])
  })

  it('says that its code has ended to whoever asks afterwards', async () => {
    const { jobOf } = setUp()
    const job = jobOf()
    await job.run(() => 1)
    expect(await job.finished).toBeUndefined()
  })

  it('is told to stop once, and may still answer in its own way', async () => {
    const { jobOf } = setUp()
    const job = jobOf()
    const end = job.run(
      () => new Promise((resolve) => job.signal.addEventListener('abort', () => resolve(job.signal.reason))),
    )
    job.stop('cancelled')
    job.stop('shutdown')
    expect(await end).toEqual({ answer: { type: 'returned', value: 'stopped: cancelled' }, stopCause: 'cancelled' })
  })

  it('sees that it was told to stop when it reads its signals later', async () => {
    const { jobOf } = setUp()
    const job = jobOf()
    void job.run(() => new Promise(() => {}))
    job.windDown()
    job.stop('shutdown')
    expect([job.signal.aborted, job.signal.reason, job.retiring.aborted]).toEqual([true, 'stopped: shutdown', true])
  })

  it('is left behind when it does not stop in time, and listed until its code has ended', async () => {
    const { clock, jobOf, jobs, settled } = setUp()
    const gate = createDeferred<void>()
    const job = jobOf({ graceMs: 250 })
    const end = job.run(() => gate.promise)
    let isFinished = false
    void job.finished.then(() => (isFinished = true))
    job.stop('cancelled')
    clock.advance(249)
    await settled()
    expect(job.state).toBe('stopping')
    clock.advance(1)
    expect(await end).toEqual({ answer: { type: 'none' }, stopCause: 'cancelled' })
    expect([jobs.list()[0]?.state, isFinished]).toEqual(['left_behind', false])
    gate.resolve()
    await job.finished
    expect([jobs.size, job.state, clock.pendingTimeouts]).toEqual([0, 'ended', 0])
  })

  it('tells its owner once that it has ended, also when its code ends after it was left behind', async () => {
    const { clock, jobOf } = setUp()
    const gate = createDeferred<void>()
    const ends: unknown[] = []
    const job = jobOf({ graceMs: 250 })
    job.start(
      () => gate.promise,
      (end) => ends.push(end),
    )
    job.stop('cancelled')
    clock.advance(250)
    gate.resolve()
    await job.finished
    expect(ends).toEqual([{ answer: { type: 'none' }, stopCause: 'cancelled' }])
  })

  it('is stopped when its time is over, and leaves no timer behind when it is not', async () => {
    const { clock, jobOf } = setUp()
    const slow = jobOf({ timeoutMs: 1000, graceMs: 0 })
    const end = slow.run(() => new Promise(() => {}))
    clock.advance(1000)
    clock.advance(0)
    expect(await end).toEqual({ answer: { type: 'none' }, stopCause: 'timeout' })
    await jobOf({ timeoutMs: 1000 }).run(() => 1)
    expect(clock.pendingTimeouts).toBe(0)
  })

  it('leaves the end of its time to an owner that asks for it', async () => {
    const { clock, jobOf } = setUp()
    const gate = createDeferred<string>()
    let calls = 0
    const job = jobOf({ timeoutMs: 1000, onTimeout: () => (calls += 1) })
    const end = job.run(() => gate.promise)
    clock.advance(1000)
    clock.advance(1000)
    expect([calls, job.state, job.signal.aborted]).toEqual([1, 'working', false])
    gate.resolve('late')
    expect(await end).toEqual({ answer: { type: 'returned', value: 'late' }, stopCause: undefined })
  })

  it('that has ended is not told to stop any more', async () => {
    const { jobOf } = setUp()
    const job = jobOf()
    await job.run(() => 1)
    job.stop('cancelled')
    expect([job.state, job.signal.aborted]).toEqual(['ended', false])
  })
})

describe('a job that waits', () => {
  it('gives its slot back, and its time stands still', async () => {
    const { clock, slots, jobOf, settled } = setUp()
    const slot = await slots.take({ kind: 'report' })
    const job = jobOf({ slot, timeoutMs: 1000 })
    const answer = createDeferred<string>()
    const end = job.run(() => job.wait(() => answer.promise))
    clock.advance(600_000)
    expect([job.state, slots.taken]).toEqual(['waiting', 0])
    const child = await slots.take({ kind: 'child' })
    answer.resolve('yes')
    await settled()
    expect(job.state).toBe('waiting')
    child.release()
    expect(await end).toEqual({ answer: { type: 'returned', value: 'yes' }, stopCause: undefined })
    expect(slots.taken).toBe(1)
  })

  it('has the time left that it had before', async () => {
    const { clock, jobOf, settled } = setUp()
    const job = jobOf({ timeoutMs: 1000, graceMs: 250 })
    const [answer, more] = [createDeferred<void>(), createDeferred<void>()]
    const end = job.run(async () => {
      await more.promise
      await job.wait(() => answer.promise)
      await new Promise(() => {})
    })
    clock.advance(700)
    more.resolve()
    await settled()
    clock.advance(5000)
    answer.resolve()
    await settled()
    clock.advance(299)
    expect(job.state).toBe('working')
    clock.advance(1)
    expect(job.state).toBe('stopping')
    clock.advance(250)
    expect((await end).stopCause).toBe('timeout')
  })

  it('keeps its slot while a step is under way, whatever else it waits for', async () => {
    const { slots, jobOf, settled } = setUp()
    const slot = await slots.take({ kind: 'report' })
    const job = jobOf({ slot })
    const [answer, stepped] = [createDeferred<string>(), createDeferred<string>()]
    const end = job.run(() => Promise.all([job.wait(() => answer.promise), job.step(() => stepped.promise)]))
    await settled()
    expect([job.state, slots.taken]).toEqual(['working', 1])
    stepped.resolve('step')
    await settled()
    expect([job.state, slots.taken]).toEqual(['waiting', 0])
    answer.resolve('answer')
    expect((await end).answer).toEqual({ type: 'returned', value: ['answer', 'step'] })
  })

  it('waits again when what it took its slot for is over', async () => {
    const { slots, jobOf, settled } = setUp()
    const slot = await slots.take({ kind: 'report' })
    const job = jobOf({ slot })
    const [first, second] = [createDeferred<void>(), createDeferred<void>()]
    const end = job.run(() => Promise.all([job.wait(() => first.promise), job.wait(() => second.promise)]))
    await settled()
    first.resolve()
    await settled()
    expect([job.state, slots.taken]).toEqual(['waiting', 0])
    second.resolve()
    await end
    expect(slots.taken).toBe(1)
  })

  it('is told to stop at once', async () => {
    const { jobOf, slots } = setUp()
    const slot = await slots.take({ kind: 'report' })
    const job = jobOf({ slot, graceMs: 250 })
    const end = job.run(() => job.wait(() => new Promise(() => {})))
    job.stop('cancelled')
    expect(await end).toEqual({ answer: { type: 'threw', thrown: 'stopped: cancelled' }, stopCause: 'cancelled' })
    slot.release()
    expect(slots.taken).toBe(0)
  })
})

it('shows itself to an inspector as an actor of its chart', async () => {
  const { jobOf } = setUp()
  const seen: unknown[] = []
  const inspect = (event: InspectionEvent) => {
    if (event.type === '@xstate.snapshot') seen.push((event.snapshot as { value?: unknown }).value)
  }
  const job = jobOf({ inspect, graceMs: 0 })
  const end = job.run(() => job.wait(() => Promise.resolve(1)))
  await end
  expect(seen).toEqual(['working', 'waiting', 'working', 'ended'])
})
