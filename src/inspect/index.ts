/** The bridge from running actors to a Stately inspector. Start with {@link createStatelyInspector}. */
export type { AdapterState, InspectorAdapter } from './adapter.js'
export { InspectorError, type InspectorErrorCode, type InspectorErrorData } from './errors.js'
export * from './protocol.js'
export { createStatelyInspector, StatelyInspector, type StatelyInspectorOptions } from './stately-inspector.js'
