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

/** What a node knows and wishes of one daemon. Every field is there in every row, so that rows of a million have one shape. */
export interface DaemonRow {
  readonly id: DaemonId
  /** The last that somebody knew. */
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
  /** It was wished for while this node takes nothing new, and waits until it does. */
  readonly isHeldBack: boolean
}

/** A daemon of which nothing is known yet. */
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

/** Where the daemon stands. */
export function lifecycleOf({ place }: DaemonRow): DaemonLifecycle {
  return place.value.lifecycle
}

/** How it is named to those who act on it. */
export function refOf({ id, name }: DaemonRow): DaemonRef {
  return { id, name }
}

/** Whether it is wished for on this node, and this node has taken the wish. */
export function isWantedHere(
  { intent, pinnedTo, isHeldBack }: Pick<DaemonRow, 'intent' | 'pinnedTo' | 'isHeldBack'>,
  thisNode: NodeId,
): boolean {
  return intent === 'run' && !isHeldBack && (pinnedTo === undefined || pinnedTo === thisNode)
}

/** Whether time will change it by itself: its gate opens, or an answer is overdue. */
export function isTimed({ place: { context } }: DaemonRow): boolean {
  return context.gateUntil !== undefined || context.answerBy !== undefined
}

/** The row after a move of its chart; the same one when the chart refuses. */
export function moved(row: DaemonRow, move: SupervisionMove): DaemonRow {
  const place = placeAfter(row, move)
  return place === row.place ? row : { ...row, place }
}

function placeAfter({ place }: DaemonRow, move: SupervisionMove): SupervisionPlace {
  return supervisionChart.move(place, move) ?? place
}

/** Whether the chart would let it be started, or told to stop, now. */
export function canStart({ place }: DaemonRow, now: MonotonicMs): boolean {
  return supervisionChart.select(place, { type: 'start', at: now, answerBy: now }).isTaken
}

/** Whether nothing it has done keeps it from being started. */
export function isGateOpen({ place }: DaemonRow): boolean {
  return place.value.gate === 'idle'
}

/** Whether it runs or is about to. */
export function canStop({ place }: DaemonRow): boolean {
  return supervisionChart.isPossible(place.value, 'stop')
}

/** The row under the name that somebody has just used, unless it is empty. */
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

/** The row after a start was handed on. */
export function startEmitted(row: DaemonRow, now: MonotonicMs, { startTimeoutMs }: SupervisionOptions): DaemonRow {
  return moved(row, { type: 'start', at: now, answerBy: now + startTimeoutMs })
}

/** The row after a stop was handed on. */
export function stopEmitted(
  row: DaemonRow,
  deadline: MonotonicMs,
  now: MonotonicMs,
  { stopTimeoutMs }: SupervisionOptions,
): DaemonRow {
  return moved(row, { type: 'stop', deadline, answerBy: Math.max(deadline, now) + stopTimeoutMs })
}

/**
 * Whether the arm of the daemons may have something to ask for, as long as the node does not drain and nothing is to be
 * restarted: the daemon should run and is stopped, or should not and is not.
 */
export function isUnsettledDaemon(row: DaemonRow, thisNode: NodeId): boolean {
  if (row.intent === undefined) return false
  return isWantedHere(row, thisNode) === (lifecycleOf(row) === 'stopped')
}
