/** What is running now, for one owner: the operations room. */
export * from './public.js'
export { OperationsHistory, sessionOfStream, streamNameOf } from './history.js'
export { facts } from './facts.js'
export { isPlainName } from './source.js'
