import type { Job } from '../work/job.js'
import type { ProcessEvent } from './event.js'
import type { ProcessLease } from './lease.js'
import type { AwaitOutput } from './output.js'
import type { ProcessRecord } from './record.js'
import type { ProcessStore } from './store.js'

/** Why a run is told to stop. */
export type StopCause = 'cancelled' | 'lease_lost' | 'store_failed' | 'closing'

/** What a run of a process is given. */
export interface RunContext {
  readonly record: ProcessRecord
  /** The lease that every write of the run carries, as it was last renewed. */
  lease(): ProcessLease
  /** Where it runs: its signal, and waits during which it gives its slot back. */
  readonly job: Job<StopCause>
  /** The request to cancel, once there is one. */
  cancelRequest(): ProcessEvent | undefined
  readonly store: ProcessStore
}

/**
 * Knows how to execute processes: the port between the worker, which knows about leases and ends, and what is run.
 */
export interface ProcessRunner {
  /** Whether it has what this process runs in; one that it has not is left to others. */
  canRun(record: ProcessRecord): boolean
  /**
   * Executes a process. Resolves with what it has come to. Throwing says that it could not be run here, which ends nothing:
   * it is tried again later.
   */
  run(context: RunContext): Promise<AwaitOutput>
  /**
   * Whether it can look after this process, which is bound to an owner and was started, when nobody works on it. Without
   * it such a process is given up once its owner is dead for certain, or when that was asked for.
   */
  canRecover?(record: ProcessRecord): boolean
  /**
   * Looks after a process that is bound to an owner and that nobody works on any more. `deadHolder` is there when who held
   * it last is dead for certain. Resolves with what it has come to, or with `undefined` when it is lost. Throwing ends
   * nothing.
   */
  recover?(context: RunContext, deadHolder: ProcessLease | undefined): Promise<AwaitOutput | undefined>
  /**
   * Ends what is left of a process that it could recover and that is given up instead. Resolves with what it had come to
   * before, if it had. Throwing ends nothing.
   */
  reap?(record: ProcessRecord, store: ProcessStore): Promise<AwaitOutput | undefined>
}
