/** Parts for testing what is built on stateward; no test runner is needed, and fast-check only where it is handed in. */
export type { Awaitable } from './awaitable.js'
export {
  followWalk,
  walkChart,
  type ChartStep,
  type ChartSystem,
  type ChartWalk,
  type ChartWalkOptions,
} from './chart-walks.js'
export { durableConformance, type DurableFixture } from './durable-conformance.js'
export { journalConformance, type JournalFixture, type SuiteFunctions } from './journal-conformance.js'
export { checkOperationsModel, type OperationsModelOptions } from './operations-model.js'
export { OperationsOracle } from './operations-oracle.js'
export type * from './operations-oracle-types.js'
export { SimulatedClock } from './simulated-clock.js'
