/** The tasks room: what must run, and how that changes. */
export * from './public.js'
export { TaskAuthority } from './authority.js'
export { commandTypes } from './catalogue.js'
export { isDefinition as isTaskDefinition } from './definition.js'
export { pendingQuestions } from './questions.js'
export { runtimeTasksSchema } from './runtime-tasks-options.js'
