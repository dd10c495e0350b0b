import type { ModelStep } from '../model.js'
import type { OperationsDriver } from './driver.js'
import type { OperationsOracle } from './oracle.js'

/** One thing done to the oracle and to the real system alike. */
export type OperationsStep<Driver = OperationsDriver> = ModelStep<OperationsOracle, Driver>
