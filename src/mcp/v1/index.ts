/**
 * For servers of the 2025-11-25 line of the Model Context Protocol with SDK 1.x: a durable task store, and the durable
 * tools of a door. See {@link createTaskStore}.
 */
export { createTaskStore, type TaskStoreOptions } from './task-store.js'
export { registerTools } from './tool.js'
