/** The processes room: durable waits across restarts and hosts. */
export * from './public.js'
export { isProcessDefinition } from './definition.js'
export { EmbeddedProcessStore } from './embedded/store.js'
export { Processes } from './processes.js'
export { runtimeProcessesSchema } from './runtime-processes-options.js'
export { storeMethods } from './watched-store.js'
export { defaultSystemGraceMs } from './system/system-process.js'
