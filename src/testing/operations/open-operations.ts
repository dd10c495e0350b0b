import type { Awaitable } from '../awaitable.js'
import { OperationsDriver, type DriverOptions } from './driver.js'
import type { OperationsPort } from './port.js'

/** A system at the beginning of a history: nothing has been registered. */
export interface OperationsUnderTest {
  readonly port: OperationsPort
  /**
   * Resolves once everything that was answered is durable; called before a crash. Leave it out if every answer implies
   * that.
   */
  flush?(): Awaitable<void>
  /**
   * Lets the process die and another take over what was durable; returns the port of the new one. Without it there are
   * no crashes.
   */
  crash?(): Awaitable<OperationsPort>
  /** Terminates the running operations for this reason, stops, and starts again. Without it there are no restarts. */
  restart?(reason: string): Awaitable<OperationsPort>
  /** Advances the clock of the system, which must be simulated. */
  advance?(milliseconds: number): Awaitable<void>
  close?(): Awaitable<void>
}

/** A system under test, as the steps drive it. */
export class OpenOperations extends OperationsDriver {
  readonly system: OperationsUnderTest

  constructor(system: OperationsUnderTest, options: DriverOptions) {
    super(system.port, options)
    this.system = system
  }

  /** Continues with the port of a new process. */
  reopen(port: OperationsPort | undefined): void {
    if (port !== undefined) this.port = port
  }
}
