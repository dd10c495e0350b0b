import { canStart, canStop, isWantedHere, lifecycleOf, refOf, type DaemonRow } from '../daemon-row.js'
import type { Restart } from '../restart.js'
import type { Pass } from './pass.js'

/** First arm of reconciliation: starts and stops daemons according to their intents, sorted by id (N-44 to N-47). */
export function reconcileDaemons(pass: Pass): void {
  const { daemons, unsettledDaemons, restarts } = pass.version
  const [restart] = restarts
  const rows = pass.isDraining || restart !== undefined ? daemons : unsettledDaemons
  rows.forEach((row) => {
    if (row.intent === undefined) return
    const reason = reasonToStop(pass, row, restart)
    if (reason !== undefined) stop(pass, row, reason)
    else if (!row.isHeldBack && lifecycleOf(row) === 'stopped') start(pass, row)
  })
}

/** Why a daemon should not run here now; `undefined` when it should. */
function reasonToStop(
  { thisNode, isDraining }: Pass,
  row: DaemonRow,
  restart: Restart | undefined,
): string | undefined {
  if (row.intent === 'stop') return 'desired-state intent: Stop'
  if (isDraining) return 'the node drains'
  if (row.isHeldBack) return undefined
  if (!isWantedHere(row, thisNode)) return `pinned to ${row.pinnedTo}`
  // Once it has ended, it is started like any other.
  return row.id === restart?.daemon && !restart.hasEnded ? 'an operator asked for a restart' : undefined
}

function start({ version: { now }, actions }: Pass, row: DaemonRow): void {
  const until = row.place.context.gateUntil
  if (canStart(row, now)) actions.push({ type: 'start_daemon', daemon: refOf(row) })
  else if (until !== undefined && until !== row.appliedUntil) {
    actions.push({ type: 'apply_backoff', daemon: refOf(row), until })
  }
}

function stop({ version: { now, configuration }, actions }: Pass, row: DaemonRow, reason: string): void {
  if (!canStop(row)) return
  const deadline = row.place.context.stopDeadline ?? now + configuration.supervision.stopGraceMs
  actions.push({ type: 'stop_daemon', daemon: refOf(row), reason, deadline })
}
