/** What is running now, for one owner: the operations room. */
export * from './public.js'
export { OperationsHistory, sessionOfStream } from './history.js'
export { facts } from './facts.js'
export { isPlainName } from './source.js'
