/** The room of the node: what this host should be doing, and whether it may. */
export * from './public.js'
