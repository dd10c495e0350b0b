/** The exports of the tasks room for users. */
export {
  canRun,
  defaultHeartbeatPolicy,
  departmentId,
  heartbeatTimeout,
  type Actor,
  type ActorRegistration,
  type HeartbeatPolicy,
} from './actor.js'
export {
  attemptResults,
  failed,
  failureClasses,
  failureReasons,
  lost,
  outcomeFromParts,
  succeeded,
  suspended,
  timedOut,
  type AttemptOutcome,
  type AttemptRecord,
  type AttemptResult,
  type FailureClass,
  type FailureOrigin,
  type FailureReason,
  type RawOutcome,
} from './attempt-outcome.js'
export { budgetDimension, consumedPercent, type Budget, type BudgetDimension } from './budget.js'
export type { Reservation } from './reservation.js'
export { decodeBytes, decodeText, encodeBytes, encodeText, type Base64, type BytesInput } from './bytes.js'
export {
  commandTypes,
  eventTypes,
  type AppliedOf,
  type CommandOf,
  type CommandPayloads,
  type CommandType,
  type EventOf,
  type EventPayloads,
  type EventType,
  type MutationOutcome,
  type TaskCommand,
  type TaskEvent,
} from './catalogue.js'
export {
  catchUps,
  defaultConstraints,
  holdPolicies,
  overlaps,
  safetyLevels,
  type CatchUp,
  type ConcurrencyKeyHoldPolicy,
  type Overlap,
  type SafetyLevel,
  type TaskConstraints,
} from './task-spec.js'
export { nextOccurrence } from './cron.js'
export type { Archive, ArchivedTask, RetentionBounds, RetentionOptions } from './retention/options.js'
export type { TaskUse } from './task-use.js'
export type { TaskTombstone } from './tombstone.js'
export type { ForgottenRuns } from './task.js'
export type { Instant } from '../base/instant.js'
export {
  isRefusal,
  refusalCodes,
  TaskError,
  type RefusalCode,
  type TaskErrorCode,
  type TaskErrorData,
} from './errors.js'
export {
  parseId,
  type ActorId,
  type AttemptId,
  type DepartmentId,
  type LedgerEntryId,
  type ReservationId,
  type RunId,
  type SubscriptionId,
  type TaskId,
  type TenantId,
} from './ids.js'
export type { CommitListener, TaskBatch, TaskCommit, TaskMutations } from './authority.js'
export type { Durability, SubmitOptions } from '../state/stream.js'
export type { Ended } from './indexes.js'
export {
  checkPermission,
  type Capability,
  type CapabilityGrant,
  type LedgerEntry,
  type Role,
  type RoleAssignment,
  type Tenant,
  type TenantRegistration,
} from './tenant.js'
export {
  createRun,
  isTerminalRunState,
  runStates,
  terminalRunStates,
  type Lease,
  type Run,
  type RunHistoryEntry,
  type RunInput,
  type RunInstance,
  type RunLease,
  type RunState,
  type TerminalRunState,
} from './run.js'
export { isArmed, matches, type EventFilter, type Subscription, type SystemEvent } from './subscription.js'
export {
  createTaskSpec,
  type RunPolicy,
  type TaskMetadata,
  type TaskPayload,
  type TaskSpec,
  type TaskSpecInput,
} from './task-spec.js'
export type { DependencyGate } from './dependencies.js'
export type { Engine } from './engine.js'
export type { TaskEnd } from './task-end.js'
export type { Task, TaskPhase, TaskProgress } from './task.js'
export type { TaskProjection, TaskView } from './view.js'
export type { AttemptBegin, AttemptEnd } from './attempt-steps.js'
export { defaultBackoff, type Backoff } from './dispatch/options.js'
export type { GraphNode, TaskGraph } from './dispatch/submission.js'
export {
  AttemptAborted,
  isSuspension,
  RetryLater,
  suspend,
  TerminalFailure,
  type AbortCause,
  type BudgetAccess,
  type ReserveOptions,
  type ChildView,
  type Handler,
  type HandlerContext,
  type HandlerOptions,
  type PrerequisiteView,
  type Spending,
  type Suspension,
} from './dispatch/handler.js'
export type { DispatchOptions } from './dispatch/options.js'
export type { SubmitArguments, SubmitInput, SubmitTaskOptions } from './dispatch/submission.js'
export type { EndReason } from './fault.js'
export { outputValue, type RunOutcome, type TaskOutcome } from './outcome.js'
export type { PendingQuestion, QuestionsOptions } from './questions.js'
export { contentTypes } from './content.js'
export { defineTask, type DefinedHandler, type DefinitionOptions, type TaskDefinition } from './definition.js'
export type { CancelAnswer } from './dispatch/cancellation.js'
export type { DispatchBlock } from './dispatch/block.js'
export type { RunBlock } from './dispatch/why.js'
export type { RuntimeTasksOptions } from './runtime-tasks-options.js'
export { TaskFailed, type TaskFailure } from './task-failed.js'
export type { ResultOptions, TaskHandle } from './task-handle.js'
export { Tasks, type SubscribeOptions, type TasksOptions } from './tasks.js'
