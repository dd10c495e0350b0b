import { ChangeHub } from '../base/hub.js'
import type { ProcessId } from './scalars.js'

/** Notifies waiters that something about a process has changed. It does not say what. */
export class ProcessHub extends ChangeHub<ProcessId> {
  /** The number of processes being followed. Tests use it to check for leaks. */
  trackedProcesses(): number {
    return this.size
  }
}
