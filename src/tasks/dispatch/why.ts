import type { Run } from '../run.js'
import type { TaskProjection } from '../view.js'
import type { DispatchBlock } from './block.js'
import { isCancelled, suspendReasonOf } from './runs.js'
import { openPrerequisites } from './selection.js'

/** Why a run is not running. */
export type RunBlock =
  | DispatchBlock
  /** It has ended, or is running right now. */
  | { readonly by: 'state'; readonly state: 'running' | 'completed' | 'failed' | 'cancelled' }
  /** When it is due or will be retried, in epoch milliseconds. */
  | { readonly by: 'time'; readonly atMs: number }
  /** It is suspended until it is resumed. */
  | { readonly by: 'suspension'; readonly reason?: string }
  /** It only waits for the runs before it. */
  | { readonly by: 'line' }

/** Why a run is not running. `blockOf` returns what the dispatcher knows. */
export function blockOfRun(
  projection: TaskProjection,
  run: Run,
  nowMs: number,
  blockOf: (run: Run) => DispatchBlock | undefined,
): RunBlock {
  const { state, taskId } = run
  switch (state) {
    case 'running':
    case 'completed':
    case 'failed':
    case 'cancelled':
      return { by: 'state', state }
    case 'suspended': {
      const reason = suspendReasonOf(run)
      return { by: 'suspension', ...(reason !== undefined && { reason }) }
    }
    case 'scheduled':
    case 'retry_wait': {
      if (isCancelled(projection, taskId)) return { by: 'cancellation' }
      const isGated = state === 'scheduled' && projection.dependencyGate(taskId) !== 'open'
      if (isGated) return { by: 'prerequisites', taskIds: openPrerequisites(projection, taskId) }
      const atMs = state === 'scheduled' ? run.scheduledAtMs : (run.retryAtMs ?? nowMs)
      return atMs > nowMs ? { by: 'time', atMs } : (blockOf(run) ?? { by: 'line' })
    }
    case 'leased':
    case 'ready':
      return blockOf(run) ?? { by: 'line' }
  }
}
