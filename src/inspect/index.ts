/**
 * Shows what happens in a runtime: the inspector of this package, see {@link createInspectorHandler}, and the bridge to
 * Stately's inspector, see {@link createStatelyInspector}.
 */
export type { AdapterState, InspectorAdapter } from './adapter.js'
export { InspectorError, type InspectorErrorCode, type InspectorErrorData } from './errors.js'
export * from './protocol.js'
export { createInspectorHandler, type InspectorHandler, type InspectorHandlerOptions } from './server/handler.js'
export type { ItemPhase, ItemRef, ItemRow, ItemType, Progress, StreamEntry } from './stream/protocol.js'
export { createStatelyInspector, StatelyInspector, type StatelyInspectorOptions } from './stately-inspector.js'
