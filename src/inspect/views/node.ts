import type { DaemonView, LocalNode } from '../../node/index.js'
import type { DaemonRow, ItemPhase, NodeFact, NodeView } from '../stream/protocol.js'
import type { ShownValues } from '../stream/shown-values.js'
import { cut } from './item-rows.js'

/** The maximum number of facts of one kind that are shown: the latest. */
const mostFacts = 200
const nothing: ReadonlySet<string> = new Set()

const phases: Readonly<Record<DaemonView['lifecycle'], ItemPhase>> = {
  stopped: 'waiting',
  starting: 'running',
  running: 'running',
  stopping: 'ending',
}

/** What a node should be doing, what it does, and what was asked of it, at the end of its last tick. */
export function nodeView(node: LocalNode, shown: ShownValues, nowMs: number): NodeView {
  const snapshot = node.reader.read()
  const { localMaintenance: maintenance, participants, freezeRemainingMs, isCordoned, pass, peers, replicas } = snapshot
  const { sinceMs, status, reason } = maintenance
  const audit = snapshot.adminAudit
    .slice(-mostFacts)
    .map(({ committedAtMs, event, operatorIds, outcome }): NodeFact => {
      const data = shown.fields({ event, operatorIds, outcome }, nothing)
      return { name: event.type, atMs: committedAtMs, status: outcome.status, data }
    })
  const failures = snapshot.recentFailures.slice(-mostFacts).map(
    ({ source, recordedAtMs, reason: text }): NodeFact => ({
      name: cut(source),
      atMs: recordedAtMs,
      status: cut(shown.text(text)),
    }),
  )
  return {
    view: 'node',
    name: String(node.id),
    details: {
      pass,
      isCordoned,
      ...(freezeRemainingMs !== undefined && { freezeRemainingMs }),
      peers: peers.size,
      replicas: replicas.size,
      participants: { ...participants },
    },
    daemons: Array.from(snapshot.daemons.values(), (daemon) => daemonRow(daemon, shown, nowMs)),
    maintenance: [
      {
        name: 'maintenance',
        atMs: sinceMs === undefined ? null : Math.trunc(nowMs - sinceMs),
        status: reason === undefined ? status : `${status}: ${cut(shown.text(reason))}`,
        data: shown.fields(maintenance, nothing),
      },
    ],
    audit: [...audit, ...failures].sort((one, other) => (other.atMs ?? 0) - (one.atMs ?? 0)),
  }
}

function daemonRow(daemon: DaemonView, shown: ShownValues, nowMs: number): DaemonRow {
  const { id, name, lifecycle, intent, restart, ageMs, placement } = daemon
  const sinceMs = ageMs === 0 ? undefined : Math.trunc(nowMs - ageMs)
  return {
    row: {
      type: 'daemon',
      id: String(id),
      name: cut(shown.text(name)),
      kind: 'daemon',
      phase: phases[lifecycle],
      status: lifecycle,
      owner: String(placement),
      ...(sinceMs !== undefined && { startedAtMs: sinceMs }),
    },
    desired: intent ?? 'nothing',
    restart: restart.status,
  }
}
