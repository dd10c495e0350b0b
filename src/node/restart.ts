import type { DaemonId } from './ids.js'

/** A daemon whose restart an operator has asked for and that has not started since. */
export interface Restart {
  readonly daemon: DaemonId
  /** It has ended since the request, and only needs to start. */
  readonly hasEnded: boolean
}

/** The list without a daemon; the same array if it does not contain it. */
export function withoutRestart(restarts: readonly Restart[], id: DaemonId): readonly Restart[] {
  return restarts.some(({ daemon }) => daemon === id) ? restarts.filter(({ daemon }) => daemon !== id) : restarts
}

/** The list after a daemon has ended; the same array if it does not contain it. */
export function withEnded(restarts: readonly Restart[], id: DaemonId): readonly Restart[] {
  if (!restarts.some(({ daemon, hasEnded }) => daemon === id && !hasEnded)) return restarts
  return restarts.map((restart) => (restart.daemon === id ? { ...restart, hasEnded: true } : restart))
}

/** The list with these daemons appended to those that wait already. */
export function withRestarts(restarts: readonly Restart[], ids: readonly DaemonId[]): readonly Restart[] {
  const waiting = new Set(restarts.map(({ daemon }) => daemon))
  const more = ids.filter((id) => !waiting.has(id))
  return [...restarts, ...more.map((daemon) => ({ daemon, hasEnded: false }))]
}
