import type { Awaitable } from '../awaitable.js'
import { OperationsDriver, type DriverOptions } from './driver.js'
import type { OperationsPort } from './port.js'

/** A system at the beginning of a history: nothing has been registered. */
export interface OperationsUnderTest {
  readonly port: OperationsPort
  /** Resolves once all that was answered is durable; called before a crash. Absent where every answer says so. */
  flush?(): Awaitable<void>
  /** Lets the process die and another take over what was durable; gives the port of the other. Absent: no crashes. */
  crash?(): Awaitable<OperationsPort>
  /** Ends what runs as terminated for this reason, stops, and starts anew. Absent: no restarts. */
  restart?(reason: string): Awaitable<OperationsPort>
  /** Moves the clock of the system, which is a simulated one. */
  advance?(milliseconds: number): Awaitable<void>
  close?(): Awaitable<void>
}

/** A system under test as steps drive it. */
export class OpenOperations extends OperationsDriver {
  readonly system: OperationsUnderTest

  constructor(system: OperationsUnderTest, options: DriverOptions) {
    super(system.port, options)
    this.system = system
  }

  /** Goes on with the port of another life. */
  reopen(port: OperationsPort | undefined): void {
    if (port !== undefined) this.port = port
  }
}
