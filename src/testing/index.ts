/** Parts for testing what is built on stateward; no test runner is needed, and fast-check only where it is handed in. */
export { journalConformance, type JournalFixture, type SuiteFunctions } from './journal-conformance.js'
export { checkOperationsModel, type OperationsModelOptions } from './operations-model.js'
export {
  OperationsOracle,
  type OracleFeedRow,
  type OracleLimits,
  type OracleLost,
  type OracleOperation,
  type OracleWait,
  type OracleWatch,
  type Verdict,
} from './operations-oracle.js'
export { SimulatedClock } from './simulated-clock.js'
