import { systemClock as clock } from '../../../src/base/clock.js'
import { DeadlineQueue } from '../../../src/base/deadline-queue.js'
import { createUuidSource } from '../../../src/base/ids.js'
import { silentLogger } from '../../../src/base/logger.js'
import { Awaiter } from '../../../src/processes/awaiter.js'
import type { WorkerFault } from '../../../src/processes/event-sink.js'
import type { ProcessStore } from '../../../src/processes/index.js'
import type { LeaseOwner, LeaseTimings } from '../../../src/processes/lease.js'
import { localLiveness } from '../../../src/processes/system/host.js'
import { SystemOutput } from '../../../src/processes/system/system-output.js'
import { SystemRunner } from '../../../src/processes/system/system-runner.js'
import { combineRunners } from '../../../src/processes/runners.js'
import { watchStore } from '../../../src/processes/watched-store.js'
import { Worker } from '../../../src/processes/worker.js'
import { JobList } from '../../../src/work/job-list.js'

/** Where a worker of processes of the operating system stands. */
export interface SystemWorkerOptions {
  readonly store: ProcessStore
  readonly directory: string
  readonly supervisor: string
  readonly owner?: LeaseOwner
  readonly timings?: LeaseTimings
}

/** A worker of processes of the operating system, with real time. */
export function systemWorker({ store: given, directory, supervisor, owner, timings }: SystemWorkerOptions) {
  const { store, hub } = watchStore(given, { clock })
  const awaiter = new Awaiter({ store, hub, clock })
  const deadlines = new DeadlineQueue(clock)
  const ids = createUuidSource({ now: () => clock.wallNow() })
  const faults: WorkerFault[] = []
  const runner = new SystemRunner({ directory, clock, deadlines, ids, logger: silentLogger, supervisor })
  const worker = new Worker({
    store,
    awaiter,
    runner: combineRunners(runner),
    owner: owner ?? { ownerId: 'w', incarnationId: ids.uuid(), liveness: localLiveness() },
    clock,
    ids,
    jobs: new JobList(),
    logger: silentLogger,
    sink: { emit: () => {}, emitWorkerFault: (fault) => void faults.push(fault) },
    retryDelayMs: 50,
    ...(timings !== undefined && { timings }),
  })
  const close = async (): Promise<void> => {
    await worker.close()
    awaiter[Symbol.dispose]()
    deadlines[Symbol.dispose]()
  }
  return { worker, store, awaiter, runner, faults, output: new SystemOutput({ directory, store, clock }), close }
}
