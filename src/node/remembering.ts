import type { DaemonRef } from './daemon.js'
import type { CheckpointContent, MaintenanceCheckpoint } from './checkpoint.js'
import type { CheckpointChange } from './history.js'
import type { FoldEvent } from './fold-event.js'
import { countForced, type ForcedEntries } from './forced.js'
import type { DaemonId, NodeId } from './ids.js'
import { maintenanceOf, type MaintenanceState } from './maintenance.js'
import type { Restart } from './restart.js'
import type { NodeState } from './state.js'
import type { MaintenanceStatus, MonotonicMs } from './vocabulary.js'

/** What must be read of the state after a fold to know what to keep. */
export interface RememberedState {
  readonly thisNode: NodeId
  readonly localMaintenance: MaintenanceState
  maintenanceOf(node: NodeId): MaintenanceStatus | undefined
  isCordoned(node: NodeId): boolean
  readonly freezeUntil: MonotonicMs | undefined
  readonly forced: ForcedEntries
  readonly restarts: readonly Restart[]
  /** The gate of a daemon; `undefined` if it is open. */
  gateOf(daemon: DaemonId): { readonly until: MonotonicMs; readonly isCrashLooping: boolean } | undefined
}

/** The remembered part of a node's state. */
export function rememberedOf(state: NodeState): RememberedState {
  const { thisNode } = state.configuration
  return {
    thisNode,
    get localMaintenance() {
      return maintenanceOf(state.maintenance)
    },
    maintenanceOf: (node) => state.peer(node)?.maintenance,
    isCordoned: (node) => (node === thisNode ? state.isCordoned : state.peer(node)?.isCordoned === true),
    get freezeUntil() {
      return state.freeze.value === 'frozen' ? state.freeze.context.until : undefined
    },
    forced: state.forced,
    restarts: state.restarts,
    gateOf: (daemon) => {
      const { value, context } = state.daemon(daemon)?.place ?? {}
      if (value === undefined || value.gate === 'idle' || context?.gateUntil === undefined) return undefined
      return { until: context.gateUntil, isCrashLooping: value.gate === 'crash_looping' }
    },
  }
}

/** The relation between this life's monotonic clock and the wall clock. */
export interface WallAnchor {
  readonly monotonic: MonotonicMs
  readonly wall: number
}

/** Converts an instant of this life to wall-clock time. */
function toWall({ monotonic, wall }: WallAnchor, at: MonotonicMs): number {
  return Math.max(0, Math.round(wall + at - monotonic))
}

/**
 * Converts wall-clock time to an instant of this life: what should have ended ends now, and nothing begins in the
 * future (14.4).
 */
function fromWall(
  { monotonic, wall }: WallAnchor,
  atMs: number,
): { readonly past: MonotonicMs; readonly until: MonotonicMs } {
  return { past: monotonic - Math.max(0, wall - atMs), until: monotonic + Math.max(0, atMs - wall) }
}

const ofMaintenance = (node: NodeId): string => `maintenance ${node}`
const ofCordon = (node: NodeId): string => `cordon ${node}`
const ofDaemon = (id: DaemonId): string => `daemon ${id}`
const ofGate = (id: DaemonId): string => `gate ${id}`
const ofFreeze = 'freeze'
const ofForced = 'forced'
const ofRestarts = 'restarts'

/** The key of the checkpoint for the position in the log of a cluster. */
export const clusterPositionKey = 'cluster_position'

/** What to write and remove in the checkpoints after an event was folded; `undefined` for most events. */
export function checkpointChangeOf(
  event: FoldEvent,
  state: RememberedState,
  anchor: WallAnchor,
): CheckpointChange | undefined {
  switch (event.type) {
    case 'placement_intent':
      return keep(`placement ${event.chain}`, { type: 'intent', event })
    case 'daemon_intent_update':
      return keep(ofDaemon(event.daemon.id), { type: 'intent', event })
    case 'local_replica_intent':
      return keep(`replica ${event.chain}`, { type: 'intent', event })
    case 'daemon_removed':
      return { forget: [ofDaemon(event.daemon), ofGate(event.daemon)] }
    case 'peer_removed':
      return { forget: [ofMaintenance(event.peer), ofCordon(event.peer)] }
    case 'daemon_lifecycle':
      return isEnd(event.signal.type) ? gateChange(event.daemon, state, anchor) : undefined
    case 'maintenance_transition_observed':
      return maintenanceChange(event.node, state, anchor)
    case 'admin_event':
      return adminChange(event.event, state, anchor)
    default:
      return undefined
  }
}

type AdminEventOf = Extract<FoldEvent, { type: 'admin_event' }>['event']

function adminChange(event: AdminEventOf, state: RememberedState, anchor: WallAnchor): CheckpointChange | undefined {
  switch (event.type) {
    case 'enter_maintenance':
    case 'drain':
    case 'exit_maintenance':
      return maintenanceChange(event.node, state, anchor)
    case 'cordon':
    case 'uncordon':
      return state.isCordoned(event.node)
        ? keep(ofCordon(event.node), { type: 'cordon', node: event.node })
        : { forget: [ofCordon(event.node)] }
    case 'drop_replicas':
      if (event.node !== state.thisNode) return undefined
      return {
        keep: event.chains.map((chain) => ({
          key: `replica ${chain}`,
          content: { type: 'intent', event: { type: 'local_replica_intent', chain, intent: 'drop' } },
        })),
      }
    case 'freeze_cluster':
    case 'thaw_cluster':
      return state.freezeUntil === undefined
        ? { forget: [ofFreeze] }
        : keep(ofFreeze, { type: 'freeze', untilMs: toWall(anchor, state.freezeUntil) })
    case 'force_restart_daemon':
      return { forget: [ofGate(event.daemon.id)] }
    case 'force_evict_replica':
    case 'force_cutover':
    case 'restart_all_daemons':
      return openRequestsChange(state)
    default:
      return undefined
  }
}

/** The change for pending requests of operators: forced entries, and restarts. */
export function openRequestsChange({
  forced,
  restarts,
}: Pick<RememberedState, 'forced' | 'restarts'>): CheckpointChange {
  const open: [key: string, content: CheckpointContent | undefined][] = [
    [ofForced, countForced(forced) === 0 ? undefined : { type: 'forced', ...forced }],
    [
      ofRestarts,
      restarts.length === 0 ? undefined : { type: 'restarts', daemons: restarts.map(({ daemon }) => daemon) },
    ],
  ]
  return {
    keep: open.flatMap(([key, content]) => (content === undefined ? [] : [{ key, content }])),
    forget: open.flatMap(([key, content]) => (content === undefined ? [key] : [])),
  }
}

function isEnd(signal: string): boolean {
  return signal === 'crashed' || signal === 'exited_cleanly'
}

function gateChange(daemon: DaemonRef, state: RememberedState, anchor: WallAnchor): CheckpointChange {
  const gate = state.gateOf(daemon.id)
  if (gate === undefined) return { forget: [ofGate(daemon.id)] }
  const untilMs = toWall(anchor, gate.until)
  return keep(ofGate(daemon.id), { type: 'gate', daemon, untilMs, isCrashLooping: gate.isCrashLooping })
}

/** The change for the maintenance state of a node. */
function maintenanceChange(node: NodeId, state: RememberedState, anchor: WallAnchor): CheckpointChange {
  const key = ofMaintenance(node)
  if (node === state.thisNode) return transitionChange(node, state.localMaintenance, anchor)
  const status = state.maintenanceOf(node)
  if (status === undefined || status === 'active') return { forget: [key] }
  return keep(key, { type: 'maintenance', node, status, sinceMs: toWall(anchor, anchor.monotonic) })
}

/** The same for a transition that is about to be observed: it becomes durable before anybody learns of it (14.7). */
export function transitionChange(node: NodeId, state: MaintenanceState, anchor: WallAnchor): CheckpointChange {
  const key = ofMaintenance(node)
  if (state.status === 'active') return { forget: [key] }
  return keep(key, {
    type: 'maintenance',
    node,
    status: state.status,
    sinceMs: toWall(anchor, state.since),
    ...('deadline' in state && { deadlineMs: toWall(anchor, state.deadline) }),
    ...('reason' in state && { reason: state.reason }),
    ...('isDrain' in state && state.isDrain && { isDrain: true }),
  })
}

function keep(key: string, content: CheckpointContent): CheckpointChange {
  return { keep: [{ key, content }] }
}

/** The events that a loop folds before its first tick, to continue where an earlier life ended. */
export function restoredEventsOf(
  checkpoints: readonly { readonly content: CheckpointContent }[],
  thisNode: NodeId,
  anchor: WallAnchor,
): readonly FoldEvent[] {
  return checkpoints.flatMap(({ content }) => restoredEvent(content, thisNode, anchor) ?? [])
}

function restoredEvent(content: CheckpointContent, thisNode: NodeId, anchor: WallAnchor): FoldEvent | undefined {
  switch (content.type) {
    case 'intent':
      return content.event
    case 'maintenance': {
      const state = maintenanceStateOf(content, anchor)
      return content.node === thisNode
        ? { type: 'maintenance_restored', state }
        : { type: 'maintenance_transition_observed', node: content.node, state }
    }
    case 'freeze':
      return { type: 'freeze_restored', until: fromWall(anchor, content.untilMs).until }
    case 'cordon':
      return { type: 'admin_event', event: { type: 'cordon', node: content.node } }
    case 'gate': {
      const { daemon, untilMs, isCrashLooping } = content
      return { type: 'gate_restored', daemon, until: fromWall(anchor, untilMs).until, isCrashLooping }
    }
    case 'forced': {
      const { evictions, placements } = content
      return { type: 'forced_restored', forced: { evictions, placements } }
    }
    case 'restarts':
      return { type: 'restarts_restored', daemons: content.daemons }
    case 'tasks_paused':
    case 'cluster_position':
      return undefined
  }
}

function maintenanceStateOf(checkpoint: MaintenanceCheckpoint, anchor: WallAnchor): MaintenanceState {
  const { status, sinceMs, deadlineMs = sinceMs, reason = '', isDrain } = checkpoint
  const since = fromWall(anchor, sinceMs).past
  const drain = isDrain === undefined ? {} : { isDrain }
  switch (status) {
    case 'active':
      return { status }
    case 'entering_maintenance':
      return { status, since, deadline: fromWall(anchor, deadlineMs).until, ...drain }
    case 'maintenance':
      return { status, since, ...drain }
    case 'drain_failed':
      return { status, since, reason }
    case 'exiting_maintenance':
    case 'recovery':
      return { status, since }
  }
}
