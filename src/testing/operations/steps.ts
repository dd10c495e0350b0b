/** All steps of histories. */
export * from './call-steps.js'
export * from './choices.js'
export * from './line-steps.js'
export * from './owner-steps.js'
export * from './wait-steps.js'
export type { OperationsStep } from './step.js'
