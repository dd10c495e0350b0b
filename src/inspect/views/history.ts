import { readDirectoryJournal } from '../../journal/reading.js'
import type { RunId, TaskId } from '../../tasks/index.js'
import { itemsOfEvent } from '../stream/event-items.js'
import type { HistoryRequest, HistoryRow, HistoryView, ItemRef } from '../stream/protocol.js'
import type { ShownValues } from '../stream/shown-values.js'
import { pageOf } from './pages.js'
import { sessionOf, type InspectedState } from './state.js'

/** The maximum number of steps read of one history: the latest. */
const mostRows = 100_000

/** Fields of a stored event that are shown elsewhere. */
const shownElsewhere: ReadonlySet<string> = new Set(['type', 'version', 'sequence'])

const nothing: ReadonlySet<string> = new Set()

/** The history of one item: the events of the journal, preceded by what the rooms keep of it. */
export async function historyView(
  state: InspectedState,
  request: HistoryRequest,
  directory: string | undefined,
): Promise<HistoryView> {
  const { item } = request
  const kept = await keptHistory(state, item)
  // The log of a process is kept whole until the process is removed.
  if (directory === undefined || item.type === 'process') {
    return { view: 'history', from: 'stream', ...pageOf(kept, request) }
  }
  const { rows, through, isCut } = await journalHistory(state, directory, item)
  const begins = rows[0]?.atMs ?? Number.POSITIVE_INFINITY
  const earlier = through === 0 ? [] : kept.filter(({ atMs = 0 }) => rows.length === 0 || atMs < begins)
  const notices = [
    ...(through === 0
      ? []
      : [`events up to ${through} are in the snapshot: of those only what is still kept is shown`]),
    ...(isCut ? [`only the last ${mostRows} events are shown`] : []),
  ]
  return {
    view: 'history',
    from: 'journal',
    ...pageOf([...earlier, ...rows], request),
    ...(notices.length > 0 && { notice: notices.join('; ') }),
  }
}

interface JournalHistory {
  readonly rows: readonly HistoryRow[]
  /** The last event that is in the snapshot and no longer in the log. */
  readonly through: number
  readonly isCut: boolean
}

/** Reads the events of one item from the log of a directory, without its lock. O(events of the log). */
async function journalHistory(state: InspectedState, directory: string, item: ItemRef): Promise<JournalHistory> {
  await using reading = await readDirectoryJournal({ directory })
  const { recovery } = reading
  const runs =
    item.type === 'task' ? new Set<string>(state.tasks.runsOf(item.id as TaskId).map(({ id }) => id)) : nothing
  let rows: HistoryRow[] = []
  let isCut = false
  for (const { sequence, record } of recovery.records) {
    const [stream, event] = Array.isArray(record) ? record : []
    if (typeof stream !== 'string' || typeof event !== 'object' || event === null) continue
    const items = itemsOfEvent(stream, event)
    const own = items.find((one) => isOf(one, item, runs))
    if (own === undefined) continue
    rows.push(rowOf(sequence, event as Readonly<Record<string, unknown>>, own, item, state.shown))
    if (rows.length < 2 * mostRows) continue
    rows = rows.slice(-mostRows)
    isCut = true
  }
  return {
    rows: rows.slice(-mostRows),
    through: recovery.snapshot?.through ?? 0,
    isCut: isCut || rows.length > mostRows,
  }
}

/** Whether an event names the item, or a run of it. */
function isOf({ type, id, session }: ItemRef, item: ItemRef, runs: ReadonlySet<string>): boolean {
  if (type === item.type) return id === item.id && session === item.session
  return type === 'run' && runs.has(id)
}

function rowOf(
  sequence: number,
  event: Readonly<Record<string, unknown>>,
  own: ItemRef,
  item: ItemRef,
  shown: ShownValues,
): HistoryRow {
  const { type, at_ms: at, completed_at_ms: completedAt, occurred_at_ms: occurredAt } = event
  const atMs = [at, completedAt, occurredAt].find((value) => typeof value === 'number')
  return {
    sequence,
    ...(typeof atMs === 'number' && { atMs }),
    name: typeof type === 'string' ? type : 'unknown',
    ...(own.type !== item.type && { item: own }),
    data: shown.fields(event, shownElsewhere),
  }
}

/** What the rooms keep of the history of an item, oldest first. */
async function keptHistory(state: InspectedState, item: ItemRef): Promise<readonly HistoryRow[]> {
  const { tasks, processes, shown } = state
  switch (item.type) {
    case 'task': {
      const task = tasks.task(item.id as TaskId)
      if (task === undefined) return []
      const created: HistoryRow = { atMs: task.createdAtMs, name: 'task_created' }
      const runs = tasks.runsOf(task.spec.id).flatMap(({ id }) => runHistory(state, id))
      const { cancelledAtMs } = task
      const cancelled: readonly HistoryRow[] =
        cancelledAtMs === undefined ? [] : [{ atMs: cancelledAtMs, name: 'task_cancelled' }]
      return inOrder([created, ...runs.map((row) => ({ ...row })), ...cancelled])
    }
    case 'run':
      return runHistory(state, item.id as RunId).map(({ item: _, ...row }) => row)
    case 'process': {
      const events = await processes.eventsAfter(item.id, 0)
      return events.slice(-mostRows).map(({ sequence, eventType, payload, occurredAt }) => ({
        sequence,
        atMs: occurredAt,
        name: eventType,
        data: shown.fields({ payload }, nothing),
      }))
    }
    case 'operation':
      return operationHistory(state, item)
    default:
      return []
  }
}

function runHistory({ tasks, shown }: InspectedState, runId: RunId): readonly HistoryRow[] {
  const run = tasks.run(runId)
  if (run === undefined) return []
  const item: ItemRef = { type: 'run', id: runId }
  const rows: HistoryRow[] = run.history.map(({ from, to, atMs, reason }) => ({
    item,
    atMs,
    name: from === undefined ? 'run_created' : 'run_state_changed',
    data: { ...(from !== undefined && { from }), to, ...(reason !== undefined && { reason }) },
  }))
  for (const { attemptId, startedAtMs, finishedAtMs, outcome } of run.attempts) {
    rows.push({ item, atMs: startedAtMs, name: 'attempt_started', data: { attempt_id: attemptId } })
    if (finishedAtMs === undefined) continue
    const data = { attempt_id: attemptId, ...(outcome && shown.fields(outcome, nothing)) }
    rows.push({ item, atMs: finishedAtMs, name: 'attempt_finished', data })
  }
  for (const { subject, begunAtMs, endedAtMs, end } of tasks.waitsOf(runId)) {
    rows.push({ item, atMs: begunAtMs, name: 'wait_begun', data: shown.fields(subject, nothing) })
    if (endedAtMs !== undefined && end !== undefined) {
      rows.push({ item, atMs: endedAtMs, name: 'wait_ended', data: shown.fields(end, nothing) })
    }
  }
  return inOrder(rows)
}

function operationHistory(state: InspectedState, { id, session: name }: ItemRef): readonly HistoryRow[] {
  const session = sessionOf(state, name)
  const snapshot = session?.operations.snapshot(id as Parameters<typeof session.operations.snapshot>[0])
  if (snapshot === undefined) return []
  const { createdAtMs, startedAtMs, completedAtMs, outcome, progressCount } = snapshot
  return [
    { atMs: createdAtMs, name: 'operation_registered' },
    ...(startedAtMs === undefined ? [] : [{ atMs: startedAtMs, name: 'operation_started' }]),
    ...(completedAtMs === undefined || outcome === null
      ? []
      : [
          {
            atMs: completedAtMs,
            name: 'operation_ended',
            data: state.shown.fields({ outcome, progress_count: progressCount }, nothing),
          },
        ]),
  ]
}

function inOrder(rows: readonly HistoryRow[]): readonly HistoryRow[] {
  return rows.toSorted((one, other) => (one.atMs ?? 0) - (other.atMs ?? 0))
}
