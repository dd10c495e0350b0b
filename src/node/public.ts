/** `stateward/node`: what this node should be doing, and whether it may. */
export type { ActionKind, NodeAction, PendingAction } from './action.js'
export { actionKinds } from './action.js'
export {
  decodeAdminEvent,
  encodeAdminEvent,
  iceKinds,
  isIce,
  ordinaryAdminKinds,
  type AdminEvent,
  type AdminEventKind,
  type AvoidScope,
  type IceProposal,
  type OrdinaryAdminEvent,
} from './admin-event.js'
export {
  AdminError,
  adminPayload,
  AdminSocket,
  AdminVerifier,
  blastHashOf,
  createSeed,
  decodeCommit,
  encodeCommit,
  icePayload,
  KeyPair,
  nodeIdOf,
  operatorIdOf,
  OperatorRegistry,
  payloadDigest,
  proposeIceCommit,
  readKeyFile,
  readOperatorsFile,
  readSimulationView,
  signAdminCommit,
  signIceCommit,
  simulate,
  submitCommit,
  writeKeyFile,
  type AdminErrorData,
  type AdminHost,
  type AdminReceipt,
  type AdminSocketOptions,
  type AdminVerifierOptions,
  type MigrationAborter,
  type MigrationSource,
  type Operator,
  type OperatorKey,
  type OperatorOptions,
  type OperatorsFile,
  type PublicKeyText,
  type SignatureText,
  type SignedAttempt,
  type SimulationView,
} from './admin/index.js'
export type { BlastRadius, BlastWarning } from './blast-radius.js'
export { canonicalBytes } from './canonical.js'
export type { OperatorSignature, SignedAdminCommit, SignedIceCommit } from './commit.js'
export type { ClusterMember } from './cluster-member.js'
export type { NodeClusterOptions } from './cluster-options.js'
export type {
  ClusterSource,
  ClusterView,
  DaemonWish,
  Heartbeat,
  HeldLease,
  LeaseSubject,
  MemberIdentity,
  MemberView,
  SharedCommit,
  UnreadableRow,
} from './cluster-source.js'
export { MemoryCluster } from './memory-cluster.js'
export type { ControlEvent, ControlSink, DaemonControl } from './control-event.js'
export type { DaemonHealth, DaemonRef, DaemonSignal } from './daemon.js'
export type { NodeEffect } from './effect.js'
export { NodeError, type NodeErrorData } from './errors.js'
export type { IntentEvent, LogLineEvent, NodeEvent, ObservedEvent, OperatorEvent } from './event.js'
export type { FoldEvent, InventorySample } from './fold-event.js'
export {
  noDigest,
  parseChainId,
  parseDaemonId,
  parseHexId,
  parseNodeId,
  type ActionId,
  type BlobId,
  type ChainId,
  type DaemonId,
  type Digest,
  type MigrationId,
  type NodeEpochId,
  type NodeId,
  type OperatorId,
} from './ids.js'
export type { PeerInventory } from './inventory.js'
export type { MaintenanceState, MaintenanceTransition } from './maintenance.js'
export {
  nodeDefaults,
  type BackpressureOptions,
  type LocalityOptions,
  type MaintenanceOptions,
  type NodeConfiguration,
  type NodeOptions,
  type SchedulerOptions,
  type SupervisionOptions,
} from './options.js'
export {
  rejectionKinds,
  type ActionChainRecord,
  type ActionDisposition,
  type AdminAuditRecord,
  type FailureRecord,
  type LogRecord,
  type RejectionKind,
  type VerificationOutcome,
} from './records.js'
export type { MigrationCost, ScoredNode, Scorer } from './scorer.js'
export type {
  AvoidView,
  BlobView,
  DaemonView,
  EmittedAction,
  MaintenanceView,
  MigrationView,
  NodeSnapshot,
  PeerView,
  ReplicaView,
  RestartState,
} from './snapshot.js'
export {
  daemonIntents,
  daemonLifecycles,
  logLevels,
  maintenanceStatuses,
  migrationPhases,
  nodeHealths,
  replicaChanges,
  replicaIntents,
  type CrashBackoff,
  type DaemonIntent,
  type DaemonLifecycle,
  type MaintenanceStatus,
  type MigrationPhase,
  type MonotonicMs,
  type NodeHealth,
  type NodeLogLevel,
  type ReplicaChange,
  type ReplicaIntent,
} from './vocabulary.js'
export type { ChainEntry, ChainFeeds, ChainRetention, ChainRetentions } from './chain-entry.js'
export { chainNames, type ChainName, type ChainRecords } from './chain-record.js'
export { ContactProbe, nodeOfGraphId } from './contact-probe.js'
export type { DaemonControls } from './daemon-controls.js'
export {
  daemonIdOf,
  type DaemonDefinition,
  type DaemonOptions,
  type DaemonRunner,
  type DaemonScope,
  type DaemonWork,
  type RunningDaemon,
} from './daemon-definition.js'
export { defineDaemon } from './daemon-runners.js'
export type { ExecutorStats } from './executor.js'
export type { LocalNode, NodeReport, NodeStats } from './local-node.js'
export type { RuntimeNodeOptions, ShutdownNodeOptions, SubmitAttemptOptions } from './local-node-options.js'
export type { NodeLoopStats } from './loop.js'
export type { Participant } from './loop-ports.js'
export type { PlacementSource, ReplicaStore } from './node-dispatcher.js'
export type {
  HealthProbe,
  InventoryProbe,
  LocalityProbe,
  Probe,
  ProbeKind,
  ProbeRegistry,
  ProbeSamples,
} from './probes.js'
export type { PublishHandle } from './publish-handle.js'
export type { RecoveryHandler, RecoveryRegistry } from './recovery.js'
export { DaemonSource, ReplicaSource } from './sources.js'
export {
  newInRing,
  type FollowOptions,
  type NodeViewContext,
  type RingEvent,
  type RingName,
  type RingPosition,
  type RingRecords,
  type SnapshotReader,
} from './snapshot-reader.js'
