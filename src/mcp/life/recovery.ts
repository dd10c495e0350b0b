import type { ProcessEvent, ProcessRegistration } from '../../processes/index.js'
import { questionType, setAsideType } from '../wire/names.js'
import { fits, setAsideSchema } from '../wire/shapes.js'
import type { McpRecovery } from './tool.js'

/** The process disposition for a task's recovery option. */
export function dispositionOf(recovery: McpRecovery): ProcessRegistration['disposition'] {
  if (recovery === 'report') return 'owner_bound'
  return recovery === 'external' ? 'externally_owned' : 'rerunnable'
}

/**
 * How many attempts have failed the task: those lost while they were working. An attempt that was waiting for an
 * answer, or that the server itself ended, does not count. Otherwise restarts would use up a task that asks often.
 */
export function lostAttempts(events: readonly ProcessEvent[]): number {
  let [lost, isAtWork, isSetAside] = [0, false, false]
  for (const { eventType, payload } of events) {
    switch (eventType) {
      case 'process.first_started':
        if (isAtWork && !isSetAside) lost += 1
        isAtWork = true
        isSetAside = false
        break
      case questionType:
      case 'process.waiting':
        isAtWork = false
        break
      case 'process.step':
        // Starting to wait is not work.
        if (!isWaitStep(payload)) isAtWork = true
        break
      case 'process.resumed':
        isAtWork = true
        break
      case setAsideType:
        // Even if other events of this attempt follow.
        if (fits(setAsideSchema, payload)) isSetAside = true
        break
      default:
    }
  }
  return lost
}

function isWaitStep(payload: unknown): boolean {
  const { name } = payload as { readonly name?: unknown }
  return typeof name === 'string' && name.startsWith('wait:')
}
