import type { NodeHistory } from '../../node/index.js'
import type { DaemonRow, NodeFact, NodeView } from '../stream/protocol.js'
import type { ShownValues } from '../stream/shown-values.js'
import { cut } from './item-rows.js'

/** What a node has stored. */
export type InspectedHistory = Pick<NodeHistory, 'chains' | 'checkpoints'>

/** The maximum number of facts of one kind that are shown: the latest. */
const mostFacts = 200

interface Reading {
  readonly shown: ShownValues
  /** Whether the owner of the directory is alive. */
  readonly isOwned: boolean
  readonly nowMs: number
}

/**
 * A node according to its journal: its intents, its maintenance state, and what operators asked for and what was done.
 * The current state of its daemons and what it knows of its peers are not durable.
 */
export function nodeHistoryView(history: InspectedHistory, { shown, isOwned, nowMs }: Reading): NodeView {
  const { chains } = history
  const factOf = (name: string, atMs: number | null, status: string, data?: object): NodeFact => ({
    name: cut(shown.text(name)),
    atMs,
    status: cut(shown.text(status)),
    ...(data !== undefined && { data: shown.fields(data, new Set()) }),
  })
  const audit = lastOf(chains.audit).map(({ record: { committedAtMs, event, operatorIds, outcome } }) =>
    factOf(event.type, committedAtMs, outcome.status, { event, operatorIds, outcome }),
  )
  const failures = lastOf(chains.failure).map(({ record: { source, recordedAtMs, reason } }) =>
    factOf(source, recordedAtMs, reason),
  )
  const actions = lastOf(chains.action).map(({ record: { kind, emittedAtMs, disposition } }) =>
    factOf(kind, emittedAtMs, disposition.status, disposition),
  )
  const daemons = new Map<string, DaemonRow>()
  const gates = new Map<string, { readonly untilMs: number; readonly isCrashLooping: boolean }>()
  const maintenance: NodeFact[] = []
  const wishes: Record<string, number> = {}
  for (const { content } of history.checkpoints()) {
    switch (content.type) {
      case 'intent': {
        const { event } = content
        if (event.type === 'daemon_intent_update') {
          const id = String(event.daemon.id)
          const place = event.node === undefined ? {} : { owner: String(event.node) }
          daemons.set(id, daemonRow(id, cut(shown.text(event.daemon.name)), event.intent, place, isOwned))
        } else wishes[event.type] = (wishes[event.type] ?? 0) + 1
        break
      }
      case 'maintenance': {
        const { node, status, sinceMs, reason } = content
        maintenance.push(
          factOf(String(node), sinceMs, reason === undefined ? status : `${status}: ${reason}`, { ...content }),
        )
        break
      }
      case 'gate':
        gates.set(String(content.daemon.id), content)
        break
      case 'cordon':
        maintenance.push(factOf(String(content.node), null, 'cordoned: no new daemons are placed on it'))
        break
      case 'freeze':
        if (content.untilMs > nowMs) maintenance.push(factOf('freeze', null, 'nothing but a thaw passes', content))
        break
      case 'forced': {
        const { evictions, placements } = content
        maintenance.push(
          factOf('forced', null, `${evictions.length} evictions and ${placements.length} placements to come`, {
            evictions,
            placements,
          }),
        )
        break
      }
      case 'restarts':
        maintenance.push(
          factOf('restarts', null, `${content.daemons.length} daemons to come`, { daemons: content.daemons }),
        )
        break
      case 'tasks_paused':
        maintenance.push(factOf('tasks', null, 'paused by the maintenance'))
        break
      case 'cluster_position':
        maintenance.push(factOf(`log of the cluster ${content.clusterId}`, null, `read up to ${content.sequence}`))
        break
    }
  }
  const log = chains.log.rows().at(-1)
  return {
    view: 'node',
    name: log === undefined ? 'Node' : String(log.record.nodeId),
    notice: isOwned
      ? 'This is what the journal says. What daemons do at this moment is seen in the inspector of the service itself.'
      : 'This is what the journal says: the process that ran the daemons has ended.',
    details: wishes,
    daemons: [...daemons.values()].map((daemon) => ({
      ...daemon,
      restart: restartOf(gates.get(daemon.row.id), nowMs),
    })),
    maintenance,
    audit: [...audit, ...failures, ...actions]
      .sort((one, other) => (other.atMs ?? 0) - (one.atMs ?? 0))
      .slice(0, 2 * mostFacts),
  }
}

function daemonRow(id: string, name: string, desired: string, place: { owner?: string }, isOwned: boolean): DaemonRow {
  const status = isOwned ? 'not durable' : 'stopped'
  return {
    row: { type: 'daemon', id, name, kind: 'daemon', phase: 'waiting', status, ...place },
    desired,
    restart: 'idle',
  }
}

function restartOf(
  gate: { readonly untilMs: number; readonly isCrashLooping: boolean } | undefined,
  nowMs: number,
): string {
  if (gate === undefined || gate.untilMs <= nowMs) return 'idle'
  return gate.isCrashLooping ? 'crash_looping' : 'backing_off'
}

function lastOf<Entry>(feed: { rows(): readonly Entry[] }): readonly Entry[] {
  return feed.rows().slice(-mostFacts)
}
