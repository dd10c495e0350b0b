import type { OperationsStep } from './step.js'
import type { OpenOperations } from './open-operations.js'

/** Advances the clock. */
export function advanceClockStep(milliseconds: number): OperationsStep<OpenOperations> {
  return {
    name: `${milliseconds} ms pass`,
    run: (_, { system }) => system.advance?.(milliseconds),
  }
}

/** The process dies once everything is durable, and another takes over. */
export function crashStep(): OperationsStep<OpenOperations> {
  return {
    name: 'crash',
    run: async (oracle, driver) => {
      await driver.system.flush?.()
      oracle.persist()
      driver.reopen(await driver.system.crash?.())
      oracle.recover()
      await driver.verify()
      driver.forgetWaiters()
    },
  }
}

/** The process terminates its operations, stops and starts again. */
export function restartStep(): OperationsStep<OpenOperations> {
  const reason = 'restart'
  return {
    name: reason,
    run: async (oracle, driver) => {
      oracle.line.close()
      oracle.terminateOwner(reason)
      oracle.commit()
      oracle.persist()
      driver.reopen(await driver.system.restart?.(reason))
      oracle.recover()
      await driver.verify()
      driver.forgetWaiters()
    },
  }
}
