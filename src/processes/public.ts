/** `stateward/processes`: processes, their stores, and what you need to write a store. */
export {
  openProcessStore,
  type EmbeddedProcessStoreOptions,
  type OpenedProcessStore,
  type OpenProcessStoreOptions,
} from './embedded/store.js'
export type {
  Decided,
  DecisionContext,
  ProcessCommand,
  ProcessRows,
  ProcessWrites,
} from './command.js'
export {
  defineProcess,
  type DefinedRun,
  type EmitOptions,
  type ProcessRunContext,
  type ProcessDefinition,
  type ProcessOptions,
  type SchemaMap,
} from './definition.js'
export { checkDurability, type DurabilityFacet } from './durability.js'
export { Awaiter, type AwaitedStore, type AwaiterOptions, type EventWaitBounds } from './awaiter.js'
export {
  BoundedQueueSink,
  type BoundedQueueSinkOptions,
  type ProcessEventSink,
  type SinkCounts,
  type WorkerFault,
} from './event-sink.js'
export type { ProcessHub } from './hub.js'
export type { WaitBounds } from './shared-wait.js'
export { watchStore, type Watched, type WatchOptions } from './watched-store.js'
export type { ProcessAttach, WorkDriver } from './work-driver.js'
export type { DriveReport } from './drive-report.js'
export {
  processEnd,
  processEvent,
  type ProcessEndInput,
  type ProcessEventInput,
  type ProcessWaits,
} from './wait-logic.js'
export { ProcessError, type ProcessErrorData } from './errors.js'
export {
  builtInEventTypes,
  cancelRequestedType,
  lifecycleEventTypes,
  terminalEventTypes,
  type EventSemantics,
  type LifecycleEventType,
  type MaterializedSemantics,
  type ProcessEventType,
  type TerminalSpec,
  type WakeSpec,
} from './event-type.js'
export {
  type AppendRequest,
  type AppendResult,
  type EventInvocation,
  type LogEntry,
  type ProcessEvent,
  type WakeDelivery,
} from './event.js'
export type { GrantEntry, HandleDescriptor, HandleGrant, SessionDeleteReport } from './grant.js'
export type { PreparedToolCall, ProcessIdentity, ProcessInput } from './input.js'
export { cancelRequestKey, ordinalKey, signalKey, signalWaitKey, terminalKey } from './keys.js'
export {
  checkLeaseTimings,
  defaultLeaseTimings,
  leaseTimingsFromTtl,
  neverDead,
  type ClaimOutcome,
  type LeaseCompletion,
  type LeaseHolder,
  type LeaseOwner,
  type LeaseTimings,
  type LivenessCheck,
  type ProcessLease,
  type StoredLease,
} from './lease.js'
export type { ProcessListFilter } from './list-filter.js'
export {
  abandonWriters,
  processFailureClasses,
  type AbandonEvidence,
  type AbandonWriter,
  type AwaitOutput,
  type NoLongerRetained,
  type ProcessFailureClass,
} from './output.js'
export type { PayloadSchema } from './payload-schema.js'
export {
  noProjector,
  upTo,
  type ChangeCursor,
  type ChangePage,
  type ProcessChange,
  type PruneOptions,
  type PruneReport,
  type Tombstone,
  type Watermark,
} from './pruning.js'
export {
  fold,
  initialState,
  statusOf,
  type AbandonRequest,
  type ExternalRef,
  type ProcessRecord,
  type ProcessState,
  type Started,
  type StatusView,
  type StoredProcess,
  type WaitKind,
  type WaitState,
} from './record.js'
export {
  declaredEventTypes,
  withEventTypes,
  withExtraEventTypes,
  type ExecutionEnvRef,
  type ProcessRegistration,
  type Registered,
} from './registration.js'
export { largestValueBytes, type ProcessId } from './scalars.js'
export { scopeIdOf, type CausalRef, type Originator, type Provenance, type SessionScope } from './scope.js'
export type { Selector } from './selector.js'
export type {
  CompletionRight,
  ClaimAndStartOutcome,
  CompletionOutcome,
  DurabilityTier,
  PendingWake,
  ProcessAnnouncements,
  ProcessStore,
  StartRequest,
  StepResult,
  StoreWriters,
  TerminalState,
  WakePosition,
  WorkCursor,
  WorkPage,
  WriteOptions,
} from './store.js'
export { isLocalOwnerDead, localLiveness } from './system/host.js'
export {
  SystemOutput,
  type OutputFollowOptions,
  type OutputReadOptions,
  type SystemOutputOptions,
} from './system/system-output.js'
export {
  systemProcess,
  type SystemCommand,
  type SystemProcessOptions,
  type SystemRecovery,
} from './system/system-process.js'
export type { OutputPart } from '../work/children/output-segments.js'
export type { OutputStream } from '../work/children/child-process.js'
export { TransactingStore } from './transacting-store.js'
export {
  isTerminalProcessStatus,
  processStatuses,
  recoveryDispositions,
  terminalProcessStatuses,
  type EndAuthority,
  type ProcessStatus,
  type RecoveryDisposition,
  type TerminalProcessStatus,
} from './vocabulary.js'
export { ProcessFailed, type ProcessFailureData } from './process-failed.js'
export {
  type ProcessEventsOptions,
  type ProcessHandle,
  type ProcessWaitOptions,
  type SignalOptions,
} from './process-handle.js'
export type { Processes, StartCommandOptions } from './processes.js'
export type { StartProcessOptions } from './start-request.js'
export type { SystemResult } from './system/outcome.js'
export type { RuntimeProcessesOptions } from './runtime-processes-options.js'
export type { WakeHandler } from './wakes.js'
