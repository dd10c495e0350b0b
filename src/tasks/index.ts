/** What must run, and who may change that: the tasks room. */
export * from './public.js'
export { TaskAuthority } from './authority.js'
export { commandTypes } from './catalogue.js'
export { dispatchFields } from './dispatch/options.js'
