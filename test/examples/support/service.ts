import { createRuntime, type RuntimeOptions } from 'stateward'
import { onTestFinished } from 'vitest'
import { startAgentService, type AgentServiceOptions } from '../../../examples/agent-service/server.js'
import { SimulatedClock } from '../../../src/testing/simulated-clock.js'
import { ask } from './client.js'

/** Starts the service in this process, on a clock that moves when told to; closed when the test is over. */
export async function startService(options: Partial<AgentServiceOptions> = {}, runtimeOptions: RuntimeOptions = {}) {
  const clock = new SimulatedClock()
  const runtime = await createRuntime({ clock, ...runtimeOptions })
  const service = await startAgentService({ runtime, clock, graceMs: 1000, ...options })
  onTestFinished(async () => {
    // Nothing that a test left running is waited for.
    await runtime.close({ policy: 'terminate' })
    await service.close()
  })
  const at = (path: string): string => `${service.url}${path}`
  return {
    clock,
    runtime,
    service,
    at,
    /** Starts a job and returns the id of its operation. */
    start: async (job: object, displayName = 'work', session = 'one'): Promise<string> => {
      const { status, body } = await ask('POST', at(`/sessions/${session}/operations`), { json: { displayName, job } })
      if (status !== 202) throw new Error(`not started: ${JSON.stringify(body)}`)
      return body.id
    },
  }
}
