/** A model of operations, to test a system of yours that keeps them. */
export { assertAgreement } from './agreement.js'
export { operationsSteps, type OperationsStepName, type OperationsStepOptions } from './arbitraries.js'
export { checkOperationsModel, type OperationsModelOptions } from './check.js'
export { OpenOperations, type OperationsUnderTest } from './open-operations.js'
export { OperationsDriver, type DriverOptions } from './driver.js'
export { assertInvariants, type InvariantReads } from './invariants.js'
export { OperationsOracle } from './oracle.js'
export type {
  OperationsMethod,
  OperationsPort,
  ReportedCompletion,
  ReportedFeed,
  ReportedOperation,
} from './port.js'
export type * from './rows.js'
export { openSession, sessionPort } from './session-port.js'
