import {
  initialSupervision,
  supervisionChart,
  type SupervisionMove,
  type SupervisionPlace,
} from '../../machines/daemon-supervision.js'
import type { DaemonHealth, DaemonRef, DaemonSignal } from './daemon.js'
import type { DaemonId, NodeId } from './ids.js'
import type { SupervisionOptions } from './options.js'
import type { DaemonIntent, DaemonLifecycle, MonotonicMs } from './vocabulary.js'

/** What a node knows and wants of one daemon. Every row has every field, so that a million rows share one shape. */
export interface DaemonRow {
  readonly id: DaemonId
  /** The last name that was given. */
  readonly name: string
  readonly health: DaemonHealth | undefined
  readonly saturation: number
  readonly lastExit: MonotonicMs | undefined
  readonly lastCrash: MonotonicMs | undefined
  readonly place: SupervisionPlace
  /** Until when the executor was asked to hold it back. */
  readonly appliedUntil: MonotonicMs | undefined
  readonly intent: DaemonIntent | undefined
  readonly pinnedTo: NodeId | undefined
  /** It is wanted, but waits because this node accepts nothing new. */
  readonly isHeldBack: boolean
}

/** A daemon about which nothing is known yet. */
export function newDaemon({ id, name }: DaemonRef): DaemonRow {
  return Object.freeze({
    id,
    name,
    health: undefined,
    saturation: 0,
    lastExit: undefined,
    lastCrash: undefined,
    place: initialSupervision,
    appliedUntil: undefined,
    intent: undefined,
    pinnedTo: undefined,
    isHeldBack: false,
  })
}

/** The life-cycle state of the daemon. */
export function lifecycleOf({ place }: DaemonRow): DaemonLifecycle {
  return place.value.lifecycle
}

/** The id and name of the daemon. */
export function refOf({ id, name }: DaemonRow): DaemonRef {
  return { id, name }
}

/** Whether it is wanted on this node, and this node has accepted that. */
export function isWantedHere(
  { intent, pinnedTo, isHeldBack }: Pick<DaemonRow, 'intent' | 'pinnedTo' | 'isHeldBack'>,
  thisNode: NodeId,
): boolean {
  return intent === 'run' && !isHeldBack && (pinnedTo === undefined || pinnedTo === thisNode)
}

/** Whether time alone will change it: its gate opens, or an answer becomes overdue. */
export function isTimed({ place: { context } }: DaemonRow): boolean {
  return context.gateUntil !== undefined || context.answerBy !== undefined
}

/** The row after a transition of its chart; the same object when the chart refuses it. */
export function moved(row: DaemonRow, move: SupervisionMove): DaemonRow {
  const place = placeAfter(row, move)
  return place === row.place ? row : { ...row, place }
}

function placeAfter({ place }: DaemonRow, move: SupervisionMove): SupervisionPlace {
  return supervisionChart.move(place, move) ?? place
}

/** Whether the chart allows a start now. */
export function canStart({ place }: DaemonRow, now: MonotonicMs): boolean {
  return supervisionChart.select(place, { type: 'start', at: now, answerBy: now }).isTaken
}

/** Whether no earlier crash keeps it from being started. */
export function isGateOpen({ place }: DaemonRow): boolean {
  return place.value.gate === 'idle'
}

/** Whether it runs or is about to, so that it can be told to stop. */
export function canStop({ place }: DaemonRow): boolean {
  return supervisionChart.isPossible(place.value, 'stop')
}

/** The row under the latest name, unless that is empty. */
export function named(row: DaemonRow, { name }: DaemonRef): DaemonRow {
  return name === '' || name === row.name ? row : Object.freeze({ ...row, name })
}

/** The row after a signal. */
export function signalled(row: DaemonRow, signal: DaemonSignal, { backoff }: SupervisionOptions): DaemonRow {
  const { at } = signal
  switch (signal.type) {
    case 'started':
      return moved(row, { type: 'started', at, backoff })
    case 'exited_cleanly':
      return { ...row, place: placeAfter(row, { type: 'exited_cleanly', at, backoff }), lastExit: at }
    case 'crashed':
      return { ...row, place: placeAfter(row, { type: 'crashed', at, backoff }), lastCrash: at }
    case 'health_changed':
      return { ...row, health: signal.health }
    case 'saturation_changed':
      return { ...row, saturation: signal.saturation }
  }
}

/** The row after a start was dispatched. */
export function startEmitted(row: DaemonRow, now: MonotonicMs, { startTimeoutMs }: SupervisionOptions): DaemonRow {
  return moved(row, { type: 'start', at: now, answerBy: now + startTimeoutMs })
}

/** The row after a stop was dispatched. */
export function stopEmitted(
  row: DaemonRow,
  deadline: MonotonicMs,
  now: MonotonicMs,
  { stopTimeoutMs }: SupervisionOptions,
): DaemonRow {
  return moved(row, { type: 'stop', deadline, answerBy: Math.max(deadline, now) + stopTimeoutMs })
}

/**
 * Whether reconciling the daemons may yield an action while the node does not drain and no restart is pending: the
 * daemon should run and is stopped, or the reverse.
 */
export function isUnsettledDaemon(row: DaemonRow, thisNode: NodeId): boolean {
  if (row.intent === undefined) return false
  return isWantedHere(row, thisNode) === (lifecycleOf(row) === 'stopped')
}
