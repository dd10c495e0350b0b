/** Operations: the work that is running now, for one owner. */
export * from './public.js'
export { inspectSchema } from './core.js'
export { SessionDirectory } from './session-directory.js'
