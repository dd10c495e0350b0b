/** The agent service compared with the model of operations: docs/testing.md. */
// #region shown
import fc from 'fast-check'
import { createMemoryJournal, createRuntime } from 'stateward'
import {
  checkOperationsModel,
  type ModelSearch,
  type OperationsPort,
  type OperationsUnderTest,
} from 'stateward/testing'
import { startAgentService, type AgentService } from '../agent-service/server.js'
import { HeldJobs } from './held-jobs.js'
import { ServicePort, type ServiceIds } from './service-port.js'

/** A new service for each history, over a journal that survives it. */
async function openService(): Promise<OperationsUnderTest> {
  const store = createMemoryJournal()
  const ids: ServiceIds = new Map()
  let service: AgentService
  const open = async (): Promise<OperationsPort> => {
    const jobs = new HeldJobs()
    const runtime = await createRuntime({ store })
    // A comment on the stream shows that everything before it has arrived, so it should come at once.
    service = await startAgentService({ runtime, clock: jobs, heartbeatMs: 1, graceMs: 100 })
    return new ServicePort(service.url, (ms) => jobs.wake(ms), ids)
  }
  return {
    port: await open(),
    crash: async () => {
      store.crash()
      await service.close().catch(() => {})
      return open()
    },
    close: () => service.close(),
  }
}

/** Rejects with the shortest history for which the service is wrong. */
export async function checkService(search: ModelSearch = {}): Promise<void> {
  await checkOperationsModel(fc, {
    ...search,
    open: openService,
    kinds: ['background_tool_op'],
    // A job completes by itself, so it is woken only while it sleeps.
    onlyLegal: ['completeOperation'],
  })
}
// #endregion
