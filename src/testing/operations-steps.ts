/** Everything that histories are made of. */
export * from './operations-call-steps.js'
export * from './operations-choices.js'
export * from './operations-life-steps.js'
export * from './operations-wait-steps.js'
export type { Step } from './operations-step.js'
