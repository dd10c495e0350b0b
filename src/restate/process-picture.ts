import type { AwaitOutput, ProcessId, ProcessStatus } from '../processes/index.js'

/** The public state of one process on the engine. */
export interface RestateProcess {
  readonly id: ProcessId
  readonly kind: string
  readonly status: ProcessStatus
  /** That of the last claim. 0 before the first. */
  readonly fencingToken: number
  readonly progressCount: number
  readonly progress?: string
  /** Set once it has ended. */
  readonly end?: { readonly seq: number; readonly output: AwaitOutput }
}
