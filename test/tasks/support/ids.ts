import { attemptId, runId, subscriptionId, taskId } from '../../../src/testing/tasks/ids.js'

export {
  actorId,
  attemptId,
  entryId,
  reservationId,
  runId,
  subscriptionId,
  taskId,
  tenantId,
} from '../../../src/testing/tasks/ids.js'

export const nil = '00000000-0000-0000-0000-000000000000'

export const [T1, T2, T3] = [taskId(1), taskId(2), taskId(3)] as const
export const [R1, R2, R3] = [runId(1), runId(2), runId(3)] as const
export const [A1, A2, A3] = [attemptId(1), attemptId(2), attemptId(3)] as const
export const [S1, S2] = [subscriptionId(1), subscriptionId(2)] as const
