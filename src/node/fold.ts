import { freezeGateChart, type FreezeMove } from '../../machines/freeze-gate.js'
import type { NodeAction } from './action.js'
import { announced, withdrawn } from './blob-row.js'
import { afterLeaderLost, ledBy, newChain, withHolder, withoutHolder, type ChainRow } from './chain-row.js'
import {
  isWantedHere,
  moved,
  named,
  newDaemon,
  signalled,
  startEmitted,
  stopEmitted,
  type DaemonRow,
} from './daemon-row.js'
import type { DaemonRef } from './daemon.js'
import type { NodeEffect } from './effect.js'
import type { FoldEvent, InventorySample } from './fold-event.js'
import { foldAdmin } from './fold-admin.js'
import { putUngated } from './fold-daemon.js'
import { foldObserved, foldRestored } from './fold-maintenance.js'
import { leftAfterPass } from './forced.js'
import type { NodeId } from './ids.js'
import { withEnded, withoutRestart, withRestarts } from './restart.js'
import { isFrozen, runningHere, type NodeState } from './state.js'
import type { MonotonicMs } from './vocabulary.js'

type Of<Type extends FoldEvent['type']> = Extract<FoldEvent, { readonly type: Type }>

type ChainEvent = Of<
  | 'replica_update'
  | 'replica_leader_update'
  | 'replica_leader_lost_and_removed'
  | 'replica_became_holder_and_leader'
  | 'placement_intent'
  | 'local_replica_intent'
>

const nothing: readonly NodeEffect[] = Object.freeze([])

/**
 * Folds one event into the state, in place, and returns what that asks of the loop.
 *
 * It reads no clock and calls nobody: the result follows from the state and the event alone, so that folding a recorded
 * list of events again yields the same state. Nothing is refused here; that was decided before.
 */
export function fold(state: NodeState, event: FoldEvent): readonly NodeEffect[] {
  switch (event.type) {
    case 'started':
      state.now = event.at
      return nothing
    case 'tick':
      return foldTick(state, event.at)
    case 'replica_update':
    case 'replica_leader_update':
    case 'replica_leader_lost_and_removed':
    case 'replica_became_holder_and_leader':
    case 'placement_intent':
    case 'local_replica_intent':
      return foldChain(state, event)
    case 'daemon_lifecycle':
      return foldSignal(state, event)
    case 'daemon_intent_update':
      return foldIntent(state, event)
    case 'daemon_removed':
      state.removeDaemon(event.daemon)
      state.restarts = withoutRestart(state.restarts, event.daemon)
      return nothing
    case 'gate_restored':
      state.putDaemon(
        moved(daemonFor(state, event.daemon), {
          type: 'restore_gate',
          until: event.until,
          isCrashLooping: event.isCrashLooping,
        }),
      )
      return nothing
    case 'rtt_sample':
      state.changePeer(event.peer, { rttMs: event.rttMs })
      return nothing
    case 'node_health':
      state.changePeer(event.peer, { health: event.health })
      return nothing
    case 'peer_removed':
      state.removePeer(event.peer)
      return nothing
    case 'inventory_polled':
      return foldInventory(state, event)
    case 'blob_announcement':
      return foldBlob(state, event)
    case 'participant_report':
      state.setParticipant(event.participant, event.isIdle)
      return nothing
    case 'maintenance_transition_observed':
      return foldObserved(state, event.node, event.state)
    case 'maintenance_restored':
      return foldRestored(state, event.state)
    case 'freeze_restored':
      return moveFreeze(state, { type: 'freeze', until: event.until })
    case 'forced_restored':
      state.forced = event.forced
      return nothing
    case 'restarts_restored':
      state.restarts = withRestarts(
        state.restarts,
        runningHere(state).filter((id) => event.daemons.includes(id)),
      )
      return nothing
    case 'admin_event':
      return foldAdmin(state, event.event)
    case 'reconciled':
      return foldReconciled(state, event.enqueued)
  }
}

/** The row of a daemon, under its latest name. */
export function daemonFor(state: NodeState, daemon: DaemonRef): DaemonRow {
  const known = state.daemon(daemon.id)
  return known === undefined ? newDaemon(daemon) : named(known, daemon)
}

function foldTick(state: NodeState, at: MonotonicMs): readonly NodeEffect[] {
  const now = (state.now = Math.max(state.now, at))
  for (const row of state.timedDaemons()) {
    const next = moved(row, { type: 'tick', at: now })
    if (next !== row) state.putDaemon(next)
  }
  for (const { peer, until } of state.avoided.version().values()) if (until <= now) state.avoided.delete(peer)
  state.pruneChains()
  return moveFreeze(state, { type: 'tick', at: now })
}

/** When the chart refuses the move, the gate stays as it is. */
function moveFreeze(state: NodeState, move: FreezeMove): readonly NodeEffect[] {
  state.freeze = freezeGateChart.move(state.freeze, move) ?? state.freeze
  return nothing
}

function foldChain(state: NodeState, event: ChainEvent): readonly NodeEffect[] {
  const known = state.chain(event.chain)
  const next = chainAfter(known, event)
  if (next !== undefined) state.putChain(next, known)
  return nothing
}

/** The row of a chain after an event; `undefined` if the chain is unknown and the event only removes something. */
function chainAfter(known: ChainRow | undefined, event: ChainEvent): ChainRow | undefined {
  const row = known ?? newChain(event.chain)
  switch (event.type) {
    case 'replica_update':
      if (event.change === 'added' || event.change === 'repaired') return withHolder(row, event.holder)
      return known && withoutHolder(known, event.holder)
    case 'replica_leader_update': {
      const { leader } = event
      if (known === undefined && leader === undefined) return undefined
      return row.leader === leader ? row : { ...row, leader }
    }
    case 'replica_leader_lost_and_removed':
      return known && afterLeaderLost(known, event.holder)
    case 'replica_became_holder_and_leader':
      return ledBy(row, event.holder)
    case 'placement_intent':
      return row.desiredReplicas === event.desiredReplicas ? row : { ...row, desiredReplicas: event.desiredReplicas }
    case 'local_replica_intent':
      return row.localIntent === event.intent ? row : { ...row, localIntent: event.intent }
  }
}

function foldSignal(state: NodeState, { daemon, signal }: Of<'daemon_lifecycle'>): readonly NodeEffect[] {
  const row = signalled(daemonFor(state, daemon), signal, state.configuration.supervision)
  if (signal.type === 'started') state.restarts = withoutRestart(state.restarts, daemon.id)
  if (signal.type === 'exited_cleanly' || signal.type === 'crashed') {
    state.restarts = withEnded(state.restarts, daemon.id)
  }
  return putUngated(state, row)
}

function foldIntent(state: NodeState, { daemon, intent, node }: Of<'daemon_intent_update'>): readonly NodeEffect[] {
  const { thisNode } = state.configuration
  const before = daemonFor(state, daemon)
  const wished = { intent, pinnedTo: node, isHeldBack: false }
  const isNew = isWantedHere(wished, thisNode) && !isWantedHere(before, thisNode)
  const after: DaemonRow = { ...before, ...wished, isHeldBack: state.isCordoned && isNew }
  state.putDaemon(after)
  if (!isWantedHere(after, thisNode)) state.restarts = withoutRestart(state.restarts, daemon.id)
  return nothing
}

function foldInventory(state: NodeState, { samples, isComplete }: Of<'inventory_polled'>): readonly NodeEffect[] {
  const byPeer = new Map<NodeId, InventorySample['inventory']>()
  for (const { peer, inventory } of samples) byPeer.set(peer, { ...byPeer.get(peer), ...inventory })
  if (isComplete) {
    for (const { node, inventory } of state.peers()) {
      if (inventory !== undefined && !byPeer.has(node)) state.changePeer(node, { inventory: undefined })
    }
  }
  for (const [peer, inventory] of byPeer) state.changePeer(peer, { inventory })
  return nothing
}

function foldBlob(state: NodeState, event: Of<'blob_announcement'>): readonly NodeEffect[] {
  const { blob, holder, sizeBytes, added } = event
  const row = state.blobs.get(blob)
  if (added) {
    state.blobs.set(blob, announced(row, blob, holder, sizeBytes))
  } else if (row !== undefined) {
    const left = withdrawn(row, holder)
    if (left === undefined) state.blobs.delete(blob)
    else state.blobs.set(blob, left)
  }
  return nothing
}

/** A pass is over: its queued actions are under way, and its forced entries are handled. */
function foldReconciled(state: NodeState, enqueued: readonly NodeAction[]): readonly NodeEffect[] {
  for (const action of enqueued) writeBack(state, action)
  if (!isFrozen(state)) {
    state.forced = leftAfterPass(state.forced, (chain) => state.chain(chain)?.leader !== undefined)
  }
  return nothing
}

function writeBack(state: NodeState, action: NodeAction): void {
  const { now } = state
  const { supervision } = state.configuration
  switch (action.type) {
    case 'request_eviction':
      return state.changeChain(action.chain, (row) => ({ ...row, lastRebalance: now }))
    case 'mark_avoid': {
      const { peer, reason, ttlMs } = action
      return state.avoided.set(peer, { peer, reason, until: now + ttlMs })
    }
    case 'apply_backoff':
      return state.putDaemon({ ...daemonFor(state, action.daemon), appliedUntil: action.until })
    case 'start_daemon':
      return state.putDaemon(startEmitted(daemonFor(state, action.daemon), now, supervision))
    case 'stop_daemon':
      return state.putDaemon(stopEmitted(daemonFor(state, action.daemon), action.deadline, now, supervision))
    case 'pull_replica':
    case 'drop_replica':
    case 'request_placement':
    case 'commit_maintenance_transition':
      return
  }
}
