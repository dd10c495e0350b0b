/** What is running now, for one owner: the operations room. */
export * from './public.js'
export { OperationsHistory, sessionOfStream } from './history.js'
export { inspectSchema } from './core.js'
export { events } from './events.js'
export { limitsSchema } from './records.js'
export { isPlainName } from './source.js'
