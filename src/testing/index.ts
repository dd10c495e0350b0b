/**
 * Tools for testing systems built on stateward. No test runner is needed; fast-check is used only where you pass it in.
 */
export type { Awaitable } from './awaitable.js'
export {
  followWalk,
  walkChart,
  type ChartStep,
  type ChartSystem,
  type ChartWalk,
  type ChartWalkOptions,
} from './chart-walks.js'
export type { Comparison, Reported } from './comparison.js'
export { durableConformance, type DurableFixture } from './durable-conformance.js'
export { journalConformance, type JournalFixture, type SuiteFunctions } from './journal-conformance.js'
export { ModelError, type ModelDisagreement, type ModelSearch } from './model.js'
export * from './operations/index.js'
export { processStoreConformance } from './process-store-conformance.js'
export type { ProcessStoreFixture } from './processes/fixture.js'
export { SimulatedClock } from './simulated-clock.js'
export * from './tasks/index.js'
