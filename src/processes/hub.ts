import { ChangeHub } from '../base/hub.js'
import type { ProcessId } from './scalars.js'

/** Tells waiters that something about a process has changed, and nothing else. */
export class ProcessHub extends ChangeHub<ProcessId> {
  /** How many processes somebody follows; for tests that nothing is left behind. */
  trackedProcesses(): number {
    return this.size
  }
}
