import { MappedTable } from '../state/mapped-table.js'
import type { PendingAction } from './action.js'
import type { ChainRow } from './chain-row.js'
import { lifecycleOf, type DaemonRow } from './daemon-row.js'
import type { EpochId, NodeId } from './ids.js'
import { maintenanceOf } from './maintenance.js'
import type { AvoidRow, PeerRow } from './peer-row.js'
import type { AdminAuditRecord, FailureRecord, LogRecord } from './records.js'
import { msSince, msUntil } from './scalars.js'
import type {
  AvoidView,
  DaemonView,
  EmittedAction,
  MaintenanceView,
  MigrationView,
  NodeSnapshot,
  PeerView,
  ReplicaView,
  RestartState,
} from './snapshot.js'
import type { NodeVersion } from './state.js'
import type { MigrationPhase, MonotonicMs } from './vocabulary.js'

/** What the loop knows besides the folded state. Values passed in are not changed afterwards. */
export interface SnapshotContext {
  readonly epoch: EpochId
  readonly pass: number
  readonly recentlyEmitted: readonly PendingAction[]
  readonly recentFailures: readonly FailureRecord[]
  readonly adminAudit: readonly AdminAuditRecord[]
  readonly logRing: readonly LogRecord[]
  readonly inFlightMigrations: readonly MigrationView[]
}

/**
 * Projects the state to the snapshot for readers, at the instant of its last tick. Pure: it reads no clock. The cost
 * does not depend on the number of rows.
 */
export function projectSnapshot(version: NodeVersion, context: SnapshotContext): NodeSnapshot {
  const { now, configuration, freeze } = version
  const { thisNode } = configuration
  const { epoch, pass, recentlyEmitted, recentFailures, adminAudit, logRing, inFlightMigrations } = context
  const { until } = freeze.context
  return Object.freeze({
    epoch,
    node: thisNode,
    pass,
    daemons: new MappedTable(version.daemons, (row) => daemonView(row, now, thisNode)),
    replicas: new MappedTable(version.chains, replicaView),
    peers: new MappedTable(version.peers, peerView),
    blobs: version.blobs,
    avoidList: new MappedTable(version.avoided, (row) => avoidView(row, now)),
    localMaintenance: maintenanceView(version),
    isCordoned: version.isCordoned,
    ...(until !== undefined && { freezeRemainingMs: msUntil(until, now) }),
    participants: Object.freeze(Object.fromEntries(version.participants)),
    recentlyEmitted: Object.freeze(recentlyEmitted.map((action) => emittedAction(action, now))),
    recentFailures,
    adminAudit,
    logRing,
    inFlightMigrations,
  })
}

/** The snapshot before the first tick, which has only the id of the epoch. */
export function emptySnapshot(version: NodeVersion, epoch: EpochId): NodeSnapshot {
  const nothing = { recentlyEmitted: [], recentFailures: [], adminAudit: [], logRing: [], inFlightMigrations: [] }
  return projectSnapshot(version, { epoch, pass: 0, ...nothing })
}

/**
 * Whether the versions differ in more than elapsed time: ages and remaining times do not count. It may report a
 * difference where there is none, but never misses one.
 */
export function isOtherThan(version: NodeVersion, before: NodeVersion): boolean {
  return (
    version.daemons !== before.daemons ||
    version.chains !== before.chains ||
    version.peers !== before.peers ||
    version.blobs !== before.blobs ||
    version.avoided !== before.avoided ||
    version.maintenance !== before.maintenance ||
    version.freeze !== before.freeze ||
    version.isCordoned !== before.isCordoned ||
    version.forced !== before.forced ||
    version.restarts !== before.restarts ||
    version.participants !== before.participants
  )
}

/** The progress of a migration, in percent. */
export function progressOf(phase: MigrationPhase): number {
  return progress[phase]
}

const progress: Readonly<Record<MigrationPhase, number>> = {
  snapshot: 10,
  transfer: 30,
  restore: 50,
  replay: 70,
  cutover: 90,
  complete: 100,
}

function daemonView(row: DaemonRow, now: MonotonicMs, placement: NodeId): DaemonView {
  const { id, name, health, saturation, intent, pinnedTo } = row
  return Object.freeze({
    id,
    name,
    lifecycle: lifecycleOf(row),
    ...(health !== undefined && { health }),
    saturation,
    restart: restartState(row, now),
    ...(intent !== undefined && { intent }),
    ...(pinnedTo !== undefined && { pinnedTo }),
    placement,
    ageMs: ageOf(row, now),
  })
}

function restartState({ place: { value, context } }: DaemonRow, now: MonotonicMs): RestartState {
  if (value.gate === 'idle') return idle
  return Object.freeze({ status: value.gate, remainingMs: msUntil(context.gateUntil ?? now, now) })
}

const idle: RestartState = Object.freeze({ status: 'idle' })

function ageOf(row: DaemonRow, now: MonotonicMs): number {
  const { lastStarted } = row.place.context
  const since = lifecycleOf(row) === 'stopped' ? (endOf(row) ?? lastStarted) : lastStarted
  return since === undefined ? 0 : msSince(since, now)
}

function endOf({ lastExit, lastCrash }: DaemonRow): MonotonicMs | undefined {
  if (lastExit === undefined || lastCrash === undefined) return lastExit ?? lastCrash
  return Math.max(lastExit, lastCrash)
}

function replicaView({ chain, holders, desiredReplicas, localIntent, leader }: ChainRow): ReplicaView {
  return Object.freeze({
    chain,
    holders,
    ...(desiredReplicas !== undefined && { desiredReplicas }),
    ...(localIntent !== undefined && { localIntent }),
    ...(leader !== undefined && { leader }),
  })
}

function peerView({ node, rttMs, health, maintenance, isCordoned, inventory }: PeerRow): PeerView {
  return Object.freeze({
    node,
    ...(rttMs !== undefined && { rttMs }),
    ...(health !== undefined && { health }),
    ...(maintenance !== undefined && { maintenance }),
    isCordoned,
    ...(inventory !== undefined && { inventory }),
  })
}

function avoidView({ peer, reason, until }: AvoidRow, now: MonotonicMs): AvoidView {
  return Object.freeze({ peer, reason, remainingMs: msUntil(until, now) })
}

function maintenanceView({ maintenance, now }: NodeVersion): MaintenanceView {
  const state = maintenanceOf(maintenance)
  return Object.freeze({
    status: state.status,
    ...('since' in state && { sinceMs: msSince(state.since, now) }),
    ...('deadline' in state && { deadlineRemainingMs: msUntil(state.deadline, now) }),
    ...('reason' in state && { reason: state.reason }),
    isDrain: 'isDrain' in state,
  })
}

function emittedAction({ id, action, emittedAt }: PendingAction, now: MonotonicMs): EmittedAction {
  return Object.freeze({ id, kind: action.type, ageMs: msSince(emittedAt, now) })
}
