import type { ModelStep } from '../model.js'
import type { OperationsDriver } from './driver.js'
import type { OperationsOracle } from './oracle.js'

/** One step, carried out on the oracle and on the system under test. */
export type OperationsStep<Driver = OperationsDriver> = ModelStep<OperationsOracle, Driver>
