/** What is running now, for one owner: the operations room. */
export * from './public.js'
export { inspectSchema } from './core.js'
export { SessionDirectory } from './session-directory.js'
