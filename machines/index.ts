/** The statecharts of stateward: pure, without I/O or clock reads; open any of them in Stately. */
export * from './operation-registry.js'
export * from './operation-vocabulary.js'
export * from './operation.js'
export * from './precompiled.js'
export * from './turn.js'
export * from './wait-all-barrier.js'
