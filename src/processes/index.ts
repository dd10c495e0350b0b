/** The room of processes: who waits for what, across restarts and hosts. */
export { EmbeddedProcessStore } from './embedded/store.js'
export * from './public.js'
