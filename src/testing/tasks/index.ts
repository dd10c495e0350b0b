/** A model of tasks, to test a system of yours that keeps them. */
export { assertTasksAgreement } from './agreement.js'
export { openTasks, tasksPort } from './authority-port.js'
export { checkTasksModel, type TasksModelOptions, type TasksUnderTest } from './check.js'
export { commandOf, intentSteps, type Intent } from './intents.js'
export { TasksOracle } from './oracle.js'
export type { TasksPort, TasksSystem } from './port.js'
export type * from './rows.js'
export { OracleState } from './state.js'
