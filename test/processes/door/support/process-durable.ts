import { createUuidSource } from '../../../../src/base/ids.js'
import { DeadlineQueue } from '../../../../src/base/deadline-queue.js'
import type { Logger } from '../../../../src/base/logger.js'
import { createDeferred, type Deferred } from '../../../../src/base/promises.js'
import { defineProcess, Processes, type ProcessRunContext, type ProcessStore } from '../../../../src/processes/index.js'
import type { DurableFixture, DurableWork } from '../../../../src/testing/durable-conformance.js'
import { SimulatedClock } from '../../../../src/testing/simulated-clock.js'
import { JobList } from '../../../../src/work/job-list.js'
import * as v from 'valibot'
import { MortalStore } from './mortal-store.js'

/** Where the processes of the suite live. */
export interface DurableHome {
  /** The store as the next host finds it, whose holders before are dead. */
  open(): Promise<ProcessStore>
  /** Lets time pass in the store. */
  advance(milliseconds: number): Promise<void> | void
  dispose(): Promise<void>
}

interface Host {
  readonly processes: Processes
  readonly store: MortalStore
  readonly clock: SimulatedClock
  readonly jobs: JobList
}

interface Call {
  readonly context: ProcessRunContext
  readonly end: Deferred<unknown>
}

const id = 'work'
const answer = v.unknown()

/** Durable work that is the run of a process, at concurrency 1. A crash leaves nothing but what the store holds. */
export async function createProcessDurable(home: DurableHome): Promise<DurableFixture> {
  let startMs = Date.UTC(2026, 0, 1)
  /** The code of the execution, once there is one. */
  let code = createDeferred<(context: DurableWork) => unknown>()
  let result = createDeferred<unknown>()
  let calls: Call[] = []
  let unused: readonly string[] = []
  let generation = 0

  const logger = {
    debug() {},
    info() {},
    warn(fields: object) {
      if ('unused' in fields) unused = fields.unused as readonly string[]
    },
    error() {},
  } satisfies Logger

  const hosts: Host[] = []
  const open = async (): Promise<Host> => {
    const mine = generation
    const clock = new SimulatedClock(startMs)
    const store = new MortalStore(await home.open())
    const jobs = new JobList()
    const shared = { clock, logger, jobs, ids: createUuidSource({ now: () => clock.wallNow() }) }
    const timings = { ttlMs: 86_400_000, renewIntervalMs: 3_600_000 }
    const called = (kind: string) =>
      defineProcess(kind, { disposition: 'rerunnable' }, (_: unknown, context) => {
        const call = { context: context as ProcessRunContext, end: createDeferred<unknown>() }
        calls.push(call)
        return call.end.promise
      })
    const work = defineProcess(
      id,
      { disposition: 'rerunnable', signals: { approval: answer, name: answer, age: answer } },
      async (_: unknown, context) => {
        const handler = await code.promise
        if (mine !== generation) return new Promise(() => {})
        try {
          const value = await handler(context)
          if (mine === generation) result.resolve(value)
          return null
        } catch (thrown) {
          if (mine === generation) result.reject(thrown)
          throw thrown
        }
      },
    )
    const processes = new Processes({
      ...shared,
      deadlines: new DeadlineQueue(clock),
      store: store.store,
      concurrency: 1,
      timings,
      define: [called('section'), called('a'), work],
    })
    const host = { processes, store, clock, jobs }
    hosts.push(host)
    return host
  }
  let host = await open()
  const settle = (): Promise<void> => host.store.settled()
  const start = async (): Promise<void> => void (await host.processes.start('work', null, { id }))

  return {
    async run(handler) {
      unused = []
      code.resolve(handler)
      result = createDeferred<unknown>()
      // What a crash cuts off answers nobody.
      result.promise.catch(() => {})
      const mine = generation
      host.processes.begin()
      await start()
      const value = await result.promise
      if (mine !== generation) return new Promise(() => {})
      await settle()
      return value
    },
    async crash() {
      await settle()
      host.store.kill()
      generation += 1
      code = createDeferred()
      calls = []
      startMs = host.clock.wallNow()
      host = await open()
    },
    async answer(name, value) {
      await start()
      await host.processes.get(undefined, id).signal(name, value)
      await settle()
    },
    async advance(milliseconds) {
      await home.advance(milliseconds)
      host.clock.advance(milliseconds)
      await settle()
    },
    async endCall(end) {
      await settle()
      const call = calls.shift()
      if (call === undefined) throw new Error('nothing is called')
      if ('reason' in end) call.end.reject(Object.assign(new Error(end.reason), { code: end.reason }))
      else call.end.resolve(end.value)
      await settle()
      const { processId, input } = call.context
      const [record] = await host.processes
        .list({ status: 'any' })
        .then((all) => all.filter((one) => one.id === processId))
      return { kind: record?.identity.kind ?? '', input: input ?? undefined }
    },
    async waiting() {
      await settle()
      const { wait } = await host.processes.get(undefined, id).status()
      const job = host.jobs.list().find((one) => one.id === id)
      const isParked = job === undefined && wait !== undefined
      if (!isParked && job?.state !== 'waiting') throw new Error('the work does not wait')
    },
    unused: () => unused,
    async dispose() {
      generation += 1
      for (const { store } of hosts) store.kill()
      await home.dispose()
    },
  }
}
