/**
 * Processes and operations on a Restate server with two workers, beside processes on PostgreSQL in the same run: calls, whole
 * processes and whole operations per second at 1, 32 and 128 clients, processor time for one of each, and how long a killed
 * worker holds one up.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createRuntime, defineProcess } from '../src/index.js'
import { PostgresDatabase } from '../src/postgres/index.js'
import { PostgresProcessStore } from '../src/processes/postgres/public.js'
import { connectRestate, defineOperation, registerRestate, type RestateConnection } from '../src/restate/index.js'
import { startBalancer } from '../examples/restate/balancer.js'
import { cpuSecondsOf, startRestateServer } from '../test/restate/support/server.js'
import { elapsed, type Bench, type BenchOptions, type Cell } from './harness.js'
import { atOnce, withPostgres } from './processes/stores.js'
import { median } from './statistics.js'

interface Worker {
  child: ChildProcess
  readonly port: number
}

const quick = defineProcess('quick', { disposition: 'rerunnable' }, (input: number) => input)
const operation = defineOperation('quick', { disposition: 'rerunnable' }, (input: number) => input)
const slow = defineProcess('slow', { disposition: 'rerunnable' }, (input: number) => input)

async function startWorker(ingress: string, port = 0): Promise<Worker> {
  const child = fork(new URL('restate/worker.js', import.meta.url), [ingress, String(port)])
  const [told] = (await once(child, 'message')) as [{ readonly port: number }]
  return { child, port: told.port }
}

/** Does so many processes at so many clients, each from its start to its result. */
async function runProcesses(restate: RestateConnection, count: number, clients: number): Promise<void> {
  await atOnce(count, { concurrency: clients }, async (index) => {
    const handle = await restate.processes(`s${index % 16}`).start(quick, index)
    await handle.result()
  })
}

/** The same with operations, each from its start to its result. */
async function runOperations(restate: RestateConnection, count: number, clients: number): Promise<void> {
  const sessions = Array.from({ length: 16 }, (_, index) => restate.session(`s${index}`))
  await atOnce(count, { concurrency: clients }, async (index) => {
    const handle = await sessions[index % 16]?.run(operation, index)
    await handle?.result()
  })
}

/** Milliseconds from the kill of the worker that does a step to the step's next beginning. */
async function takeover(restate: RestateConnection, workers: Worker[], ingress: string): Promise<number> {
  const mark = Math.trunc(performance.now() * 1000)
  const begins = (): Promise<Worker> =>
    new Promise((resolve) => {
      for (const worker of workers) {
        const listen = (told: unknown): void => {
          if ((told as { readonly began?: number }).began !== mark) return
          worker.child.off('message', listen)
          resolve(worker)
        }
        worker.child.on('message', listen)
      }
    })
  const first = begins()
  const handle = await restate.processes(randomUUID()).start(slow, mark)
  const lost = await first
  const again = begins()
  const before = performance.now()
  lost.child.kill('SIGKILL')
  await again
  const tookMs = performance.now() - before
  await handle.result()
  workers[workers.indexOf(lost)] = await startWorker(ingress, lost.port)
  return tookMs
}

async function onPostgres(url: string, sizes: readonly (readonly [number, number])[]): Promise<Map<number, number>> {
  const database = await PostgresDatabase.open({ url })
  const store = await PostgresProcessStore.open({ database })
  const runtime = await createRuntime({ processes: { store, concurrency: 128, define: [quick] } })
  const rates = new Map<number, number>()
  for (const [clients, count] of sizes) {
    const ms = await elapsed(() =>
      atOnce(count, { concurrency: clients }, async (index) => {
        const handle = await runtime.processes.start(quick, index)
        await handle.result()
      }),
    )
    rates.set(clients, (count / ms) * 1000)
  }
  await runtime.close()
  await database.close()
  return rates
}

async function measure(options: BenchOptions) {
  await using server = await startRestateServer()
  const workers = await Promise.all([startWorker(server.ingress), startWorker(server.ingress)])
  await using balancer = await startBalancer(workers.map(({ port }) => port))
  await registerRestate({ admin: server.admin, uri: balancer.uri })
  const restate = connectRestate({ ingress: server.ingress, admin: server.admin })
  const cpuSeconds = async (): Promise<number> => {
    const { user, system } = process.cpuUsage()
    const others = await Promise.all(workers.map(({ child }) => cpuSecondsOf(child.pid ?? 0)))
    return others.reduce((sum, one) => sum + one, await server.cpuSeconds()) + (user + system) / 1e6
  }
  const sizes = ([1, 32, 128] as const).map(
    (clients) => [clients, options.quick ? 32 : clients === 1 ? 100 : 600] as const,
  )
  await runProcesses(restate, 100, 16)
  await runOperations(restate, 100, 16)
  /** Runs something, and says how long it takes, in all and of the processor for each piece. */
  const measured = async (count: number, run: () => Promise<void>) => {
    const cpuBefore = await cpuSeconds()
    const ms = await elapsed(run)
    return { perSecond: Math.round((count / ms) * 1000), cpuMs: (((await cpuSeconds()) - cpuBefore) / count) * 1000 }
  }
  options.progress('processes on PostgreSQL')
  const beside = await withPostgres((url) => onPostgres(url, sizes))
  const rows: Record<string, Cell>[] = []
  let cpuMsPerProcess = 0
  let cpuMsPerOperation = 0
  for (const [clients, count] of sizes) {
    options.progress(`processes and operations on Restate, ${clients} clients`)
    const reads = await elapsed(() =>
      atOnce(count, { concurrency: clients }, (index) => restate.processes(`s${index % 16}`).read('nobody')),
    )
    const processes = await measured(count, () => runProcesses(restate, count, clients))
    const operations = await measured(count, () => runOperations(restate, count, clients))
    cpuMsPerProcess = processes.cpuMs
    cpuMsPerOperation = operations.cpuMs
    rows.push({
      clients,
      'calls/s': Math.round((count / reads) * 1000),
      'processes/s': processes.perSecond,
      'operations/s': operations.perSecond,
      'processor ms per process': tenths(processes.cpuMs),
      'processor ms per operation': tenths(operations.cpuMs),
      'processes/s on PostgreSQL': Math.round(beside.get(clients) ?? 0),
    })
  }
  const takeovers: number[] = []
  for (let round = 0; round < (options.quick ? 1 : 5); round += 1) {
    options.progress(`takeover ${round + 1}`)
    takeovers.push(await takeover(restate, workers, server.ingress))
  }
  for (const { child } of workers) child.kill('SIGKILL')
  const takeoverMs = Math.round(median(takeovers))
  return {
    rows,
    ratios: { cpuMsPerOperation: tenths(cpuMsPerOperation), cpuMsPerProcess: tenths(cpuMsPerProcess), takeoverMs },
  }
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10
}

const bench: Bench = {
  name: 'restate',
  async run(options) {
    const { rows, ratios } = await measure(options)
    return {
      name: 'restate',
      configuration: { workers: 2, sessions: 16, postgres: 'fsync off, on this machine' },
      rows,
      ratios,
      aims: { cpuMsPerOperation: { atMost: 15 }, cpuMsPerProcess: { atMost: 15 }, takeoverMs: { atMost: 2000 } },
    }
  },
}

export default bench
