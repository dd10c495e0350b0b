import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { buildLibrary } from '../../support/build.js'
import { cpuSecondsOf, killed } from './server.js'

/** A worker in a process of its own. */
export interface WorkerProcess extends AsyncDisposable {
  readonly port: number
  readonly pid: number
  /** Kills it and starts another one at the same port. */
  restart(): Promise<void>
  kill(): Promise<void>
  cpuSeconds(): Promise<number>
}

/** Starts a worker whose steps write into the file `effects`. */
export async function startWorkerProcess(ingress: string, effects: string): Promise<WorkerProcess> {
  const dist = await buildLibrary()
  let port = 0
  let child = await started()
  return {
    get port() {
      return port
    },
    get pid() {
      return child.pid ?? 0
    },
    async restart() {
      await killed(child)
      child = await started()
    },
    kill: () => killed(child),
    cpuSeconds: () => cpuSecondsOf(child.pid ?? 0),
    [Symbol.asyncDispose]: () => killed(child),
  }

  async function started(): Promise<ChildProcess> {
    const worker = spawn(process.execPath, [join(import.meta.dirname, 'worker.mjs')], {
      env: {
        ...process.env,
        DIST: dist,
        PORT: String(port),
        INGRESS: ingress,
        EFFECTS: effects,
        RESTATE_LOGGING: 'ERROR',
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const reap = (): void => void worker.kill('SIGKILL')
    process.once('exit', reap)
    worker.once('exit', () => process.off('exit', reap))
    const [line] = (await Promise.race([
      once(worker.stdout, 'data'),
      once(worker, 'exit').then(() => Promise.reject(new Error('the worker ended'))),
    ])) as [Buffer]
    port = Number(line.toString().trim())
    return worker
  }
}
