/** The room of processes: who waits for what, across restarts and hosts. */
export * from './public.js'
