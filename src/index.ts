/** Runs the long-running work of a Node service and never loses track of it. Start with {@link createRuntime}. */
export { systemClock, type Clock } from './base/clock.js'
export type { ErrorDetails } from './base/error-details.js'
export { InvalidInputError, StatewardError, type InvalidInput } from './base/errors.js'
export {
  FeedGapError,
  type Feed,
  type FeedBatch,
  type FeedGap,
  type FeedReadOptions,
  type Sequenced,
} from './base/feed.js'
export { createUuidSource, isUuid, parseUuid, type Brand, type IdSource, type UuidIngredients } from './base/ids.js'
export type { JsonObject, JsonValue } from './base/json.js'
export { silentLogger, type Logger } from './base/logger.js'
export type { InstrumentOptions, Meter, MeterAttributes, ObserveCallback } from './base/meter.js'
export { createDirectoryJournal, type DirectoryJournalOptions } from './journal/directory-journal.js'
export { JournalError, type JournalErrorCode, type JournalErrorData } from './journal/errors.js'
export type * from './journal/journal.js'
export { createMemoryJournal } from './journal/memory-journal.js'
export {
  readDirectoryJournal,
  type JournalOwner,
  type JournalReading,
  type ReadDirectoryJournalOptions,
} from './journal/reading.js'
export { LaneError, type LaneErrorCode, type LaneErrorData } from './lane/errors.js'
export type { LaneHealth } from './lane/health.js'
export * from './operations/public.js'
export type { Span, SpanAttributes, SpanOptions, Tracer } from './work/job-span.js'
export type { SpanContext } from './work/trace-context.js'
export {
  defineProcess,
  ProcessFailed,
  type ProcessRunContext,
  type ProcessDefinition,
  type ProcessHandle,
} from './processes/public.js'
export {
  defineDaemon,
  type DaemonDefinition,
  type DaemonScope,
  type LocalNode,
  type RuntimeNodeOptions,
} from './node/public.js'
export { SystemDaemon, type SystemDaemonOptions } from './runtime-daemons.js'
export { createRuntime } from './create-runtime.js'
export type { Runtime, RuntimeRecovery } from './runtime.js'
export type { CloseOptions, InspectorServerOptions, InspectorViewOptions, RuntimeOptions } from './runtime-options.js'
export { defineTask, type DefinitionOptions, type TaskDefinition } from './tasks/definition.js'
export { RetryLater, TerminalFailure } from './tasks/dispatch/handler.js'
export { TaskFailed, type TaskFailure } from './tasks/task-failed.js'
export type { TaskHandle } from './tasks/task-handle.js'
export type { TaskEnd } from './tasks/task-end.js'
export type { Schema } from './work/values.js'
export type { Rate } from './work/slots.js'
export type { IdleWakeStop } from '../machines/idle-wake.js'
export * from '../machines/operation-vocabulary.js'
export type { AsyncOperationRef, WaitPolicy } from '../machines/turn.js'
export type { OutputStream } from './work/children/child-process.js'
export { runCommand, type CommandReport, type RunCommandOptions } from './work/children/run-command.js'
export type { JobInfo, JobList, JobProgress } from './work/job-list.js'
