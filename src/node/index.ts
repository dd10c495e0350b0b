/** The room of the node: what this host should be doing, and whether it may. */
export * from './public.js'
export type { ClusterConfiguration } from './cluster-options.js'
export { NodeHistory } from './history.js'
export { LocalNode } from './local-node.js'
export { resolveRuntimeNodeOptions, runtimeNodeSchema } from './local-node-options.js'
