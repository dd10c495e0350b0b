import type { Job } from '../work/job.js'
import type { ProcessEvent } from './event.js'
import type { ProcessLease } from './lease.js'
import type { AwaitOutput } from './output.js'
import type { ProcessRecord } from './record.js'
import type { ProcessStore } from './store.js'

/** Why a run is told to stop. */
export type StopCause = 'cancelled' | 'lease_lost' | 'store_failed' | 'closing'

/** The context in which a runner executes a process. */
export interface RunContext {
  readonly record: ProcessRecord
  /** The current lease. Every write of the run carries it. */
  lease(): ProcessLease
  /** The job of the run: its abort signal, and waits during which it gives its slot to others. */
  readonly job: Job<StopCause>
  /** The request to cancel, once there is one. */
  cancelRequest(): ProcessEvent | undefined
  readonly store: ProcessStore
}

/**
 * Executes processes. This is the port between the worker, which handles leases and outcomes, and the code that is run.
 */
export interface ProcessRunner {
  /** Whether it can run this process. Otherwise the process is left to other hosts. */
  canRun(record: ProcessRecord): boolean
  /**
   * Executes a process. Resolves with its outcome. If it throws, the process could not be run here: it does not end and
   * is tried again later.
   */
  run(context: RunContext): Promise<AwaitOutput>
  /**
   * Whether it can recover this owner-bound process, which was started and which nobody is working on. Otherwise such a
   * process is abandoned once its owner is known to be dead, or on request.
   */
  canRecover?(record: ProcessRecord): boolean
  /**
   * Recovers an owner-bound process that nobody is working on any more. `deadHolder` is set if the last holder is known
   * to be dead. Resolves with the outcome, or with `undefined` if the process is lost. If it throws, the process does
   * not end.
   */
  recover?(context: RunContext, deadHolder: ProcessLease | undefined): Promise<AwaitOutput | undefined>
  /**
   * Ends what is left of a process that could be recovered but is abandoned instead. Resolves with the process's own
   * outcome if it had already reached one. If it throws, the process does not end.
   */
  reap?(record: ProcessRecord, store: ProcessStore): Promise<AwaitOutput | undefined>
}
