/** What must run, and who may change that: the tasks room. */
export * from './public.js'
export { TaskAuthority, type TaskAuthorityOptions } from './authority.js'
export { commandTypes } from './decide/decide.js'
export { depthLimit } from './decide/tasks.js'
export {
  plainRunner,
  type AttemptDescription,
  type AttemptRunner,
  type AttemptScope,
} from './dispatch/attempt-runner.js'
