import { isGateOpen, type DaemonRow } from './daemon-row.js'
import type { NodeEffect } from './effect.js'
import type { NodeState } from './state.js'

const nothing: readonly NodeEffect[] = Object.freeze([])

/** Puts a daemon's row; if it was held back and no longer is, the executor opens its gate. */
export function putUngated(state: NodeState, row: DaemonRow): readonly NodeEffect[] {
  const isReleased = row.appliedUntil !== undefined && isGateOpen(row)
  state.putDaemon(isReleased ? { ...row, appliedUntil: undefined } : row)
  return isReleased ? [{ type: 'open_daemon_gate', daemon: row.id }] : nothing
}
