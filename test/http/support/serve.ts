import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createRuntime, type Runtime, type RuntimeOptions } from 'stateward'
import { createHttpHandler, type HttpHandler, type HttpHandlerOptions } from 'stateward/http'
import { onTestFinished } from 'vitest'
import { SimulatedClock } from '../../../src/testing/simulated-clock.js'

/** Asks Fetch without a network: a method, a path and what goes with it. */
export type Fetch = (path: string, init?: RequestInit) => Promise<Response>

/** A runtime behind a real server and behind Fetch, on a clock that moves when told to; closed when the test is over. */
export interface Served {
  readonly runtime: Runtime
  readonly clock: SimulatedClock
  readonly handler: HttpHandler
  readonly faults: readonly object[]
  readonly at: (path: string) => string
  readonly fetch: Fetch
  readonly connections: () => Promise<number>
}

export async function serve(
  options: Partial<HttpHandlerOptions> = { unprotected: true },
  runtimeOptions: RuntimeOptions = {},
): Promise<Served> {
  const clock = new SimulatedClock()
  const runtime = await createRuntime({ clock, ...runtimeOptions })
  const faults: object[] = []
  const quiet = (): void => {}
  const logger = { debug: quiet, info: quiet, warn: quiet, error: (fields: object) => void faults.push(fields) }
  const handler = createHttpHandler({ runtime, clock, logger, ...options })
  const server = createServer({ requireHostHeader: false }, handler.node).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(async () => {
    await runtime.close({ policy: 'terminate' })
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return {
    runtime,
    clock,
    handler,
    faults,
    at: (path) => `http://127.0.0.1:${port}${path}`,
    fetch: (path, init) => handler.fetch(new Request(`http://localhost${path}`, init)),
    connections: () =>
      new Promise((resolve, reject) => {
        server.getConnections((error, count) => (error === null ? resolve(count) : reject(error)))
      }),
  }
}

/** Submits tasks that end at once, one after another. */
export async function endTasks(runtime: Runtime, count: number): Promise<void> {
  for (let number = 0; number < count; number += 1) {
    const handle = await runtime.tasks.submit('work', `${number}`)
    await handle.cancel()
    await handle.outcome()
  }
}
