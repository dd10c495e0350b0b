import { DeadlineQueue } from '../../src/base/deadline-queue.js'
import { systemClock } from '../../src/base/clock.js'
import { createUuidSource } from '../../src/base/ids.js'
import { silentLogger } from '../../src/base/logger.js'
import { Lane } from '../../src/lane/lane.js'
import { OperationsHistory } from '../../src/operations/history.js'
import { Session } from '../../src/operations/session.js'
import { JobList } from '../../src/work/job-list.js'
import type { EpochId } from '../../src/operations/types.js'
import type { SessionId } from '../../machines/operation-vocabulary.js'
import type { Arrangement } from '../operations.js'

const lane = await Lane.open({ streamFor: () => undefined })
const ids = createUuidSource({ now: () => Date.now() })

/** The registry of one session, with its read side attached as in a runtime. */
export function statewardRegistry(): Arrangement {
  const id = `bench ${ids.uuid()}` as SessionId
  const history = new OperationsHistory(id, { clock: systemClock })
  history.open(ids.uuid() as EpochId, {})
  history.start(lane)
  const deadlines = new DeadlineQueue(systemClock)
  const jobs = new JobList()
  const { operations } = new Session({
    id,
    history,
    lane,
    ids,
    clock: systemClock,
    deadlines,
    jobs,
    logger: silentLogger,
  })
  const watches: Promise<unknown>[] = []
  return {
    register(operationId) {
      void operations.registerOperation({
        id: operationId,
        kind: 'background_tool_op',
        ownerSessionId: id,
        displayName: 'bench',
        sourceLabel: 'bench',
        childSessionId: null,
        expectPeerChannel: false,
      })
      watches.push(operations.registerWatcher(operationId))
    },
    finish(operationId) {
      void operations.provisioningSucceeded(operationId)
      void operations.reportProgress(operationId, { message: 'half', fraction: 0.5 })
      void operations.completeOperation(operationId, {
        id: operationId,
        content: 'done',
        isError: false,
        durationMs: 1,
        tokensUsed: 0,
      })
    },
    settled: async () => {
      await Promise.all(watches)
    },
  }
}
