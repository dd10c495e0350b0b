import PgBoss from 'pg-boss'
import { createDeferred } from '../../src/base/promises.js'
import { createRuntime, defineProcess } from '../../src/index.js'
import { PostgresDatabase } from '../../src/postgres/index.js'
import { PostgresProcessStore } from '../../src/processes/postgres/public.js'
import { elapsed, interleave, type BenchOptions } from '../harness.js'
import { median } from '../statistics.js'
import type { Part } from '../tasks.js'
import { atOnce } from './stores.js'

/** Jobs that are started at the same time, and run at the same time. */
const concurrency = 64

/** Does so many jobs from start to durable end. */
interface Contender extends AsyncDisposable {
  run(count: number): Promise<void>
}

export async function openProcesses(url: string): Promise<Contender> {
  const database = await PostgresDatabase.open({ url })
  const store = await PostgresProcessStore.open({ database, schema: 'jobs' })
  let left = 0
  let done = createDeferred<void>()
  // An end is durable when the store has answered: that is when it counts, as for the queue.
  const counting = new Proxy(store, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target)
      if (typeof value !== 'function') return value
      if (key !== 'completeWithLease') return value.bind(target) as unknown
      return async (...given: Parameters<typeof store.completeWithLease>) => {
        const ended = await target.completeWithLease(...given)
        left -= 1
        if (left === 0) done.resolve()
        return ended
      }
    },
  })
  const empty = defineProcess('empty', { disposition: 'rerunnable' }, () => null)
  const runtime = await createRuntime({ processes: { store: counting, concurrency, define: [empty] } })
  return {
    async run(count) {
      left = count
      done = createDeferred<void>()
      await atOnce(count, { concurrency }, () => runtime.processes.start(empty, null))
      await done.promise
    },
    async [Symbol.asyncDispose]() {
      await runtime.close()
      await database.close()
    },
  }
}

/** The queue, whose jobs end one by one or batch by batch: then all jobs of a batch have the same end. */
export async function openBoss(url: string, { batchSize }: { readonly batchSize: number }): Promise<Contender> {
  const boss = new PgBoss({ connectionString: url, max: 10, supervise: false, schedule: false })
  boss.on('error', (error) => process.stderr.write(`${error.message}\n`))
  await boss.start()
  const queue = `empty-${batchSize}`
  await boss.createQueue(queue)
  let left = 0
  let done = createDeferred<void>()
  const isBusy = (): boolean => left > 0
  const isDone = (ended: number): void => {
    left -= ended
    if (left === 0) done.resolve()
  }
  // Its own worker waits at least half a second between two batches; this one asks again as long as there are jobs.
  const work = async (): Promise<void> => {
    while (isBusy()) {
      const jobs = await boss.fetch(queue, { batchSize })
      if (jobs.length === 0) {
        await new Promise((resolve) => setTimeout(resolve, 1))
        continue
      }
      await boss.complete(
        queue,
        jobs.map(({ id }) => id),
      )
      isDone(jobs.length)
    }
  }
  return {
    async run(count) {
      left = count
      done = createDeferred<void>()
      const workers = Array.from({ length: concurrency / batchSize }, work)
      await atOnce(count, { concurrency }, () => boss.send(queue, {}))
      await done.promise
      await Promise.all(workers)
    },
    [Symbol.asyncDispose]: () => boss.stop({ graceful: false }),
  }
}

/** Jobs per second on the same server, from start to durable end, beside pg-boss. */
export async function measureJobs(url: string, { quick, progress }: BenchOptions): Promise<Part> {
  const count = quick ? 200 : 1000
  progress(`${count} jobs beside pg-boss`)
  await using ours = await openProcesses(url)
  await using single = await openBoss(url, { batchSize: 1 })
  await using batched = await openBoss(url, { batchSize: concurrency })
  const samples = await interleave(
    {
      processes: () => elapsed(() => ours.run(count)),
      single: () => elapsed(() => single.run(count)),
      batched: () => elapsed(() => batched.run(count)),
    },
    { rounds: quick ? 1 : 5 },
  )
  const perSecond = (of: readonly number[]): number => (count * 1000) / median(of)
  const processes = perSecond(samples.processes)
  const pgBoss = perSecond(samples.single)
  const ofBatches = perSecond(samples.batched)
  return {
    rows: [
      { what: 'jobs on PostgreSQL, processes', 'per second': processes },
      { what: 'jobs on PostgreSQL, pg-boss', 'per second': pgBoss },
      { what: `jobs on PostgreSQL, pg-boss in batches of ${concurrency}`, 'per second': ofBatches },
    ],
    ratios: {
      vsPgBoss: processes / pgBoss,
      vsPgBossBatches: processes / ofBatches,
      jobsPerSecond: processes,
      pgBossJobsPerSecond: pgBoss,
      pgBossBatchedJobsPerSecond: ofBatches,
    },
  }
}
