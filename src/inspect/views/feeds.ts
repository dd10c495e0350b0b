import { cursorConsumers } from '../../../machines/operation-vocabulary.js'
import type { CompletionRow, FeedRow, FeedsView, FeedView } from '../stream/protocol.js'
import { cut, taskRef } from './item-rows.js'
import { pageOfMade, type Window } from './pages.js'
import { sessionOf, type InspectedState } from './state.js'

const sessionPrefix = 'session:'

/** Completion feeds, and how far each of their readers is. */
export function feedsView(state: InspectedState): FeedsView {
  const feeds: FeedRow[] = []
  for (const { id, epochId, feed, operations } of state.sessions()) {
    const { watermark, droppedThrough, entries } = feed.since(0)
    const cursors = cursorConsumers.map((name) => ({ name, position: operations.completionCursor(name) }))
    feeds.push({ feed: `${sessionPrefix}${id}`, epochId, watermark, droppedThrough, kept: entries.length, cursors })
  }
  const { watermark, droppedThrough, entries } = state.taskEnds.since(0)
  return {
    view: 'feeds',
    feeds: [...feeds, { feed: 'tasks', watermark, droppedThrough, kept: entries.length, cursors: [] }],
  }
}

/**
 * The last rows of one feed, newest first; none if the feed does not exist. `through`: the number of the last row to be
 * shown, for the past.
 */
export function feedView(state: InspectedState, feed: string, window: Window, through = Infinity): FeedView {
  if (feed === 'tasks') {
    const entries = state.taskEnds.since(0).entries.filter(({ seq }) => seq <= through)
    const rowOf = ({ seq, taskId, kind, key, status, endedAtMs }: (typeof entries)[number]): CompletionRow => {
      const { description = key ?? kind } = state.tasks.task(taskId)?.spec.metadata ?? {}
      return { seq, item: taskRef(taskId), name: cut(description), kind, outcome: status, atMs: endedAtMs }
    }
    return { view: 'feed', feed, ...pageOfMade(entries.toReversed(), rowOf, window) }
  }
  const session = feed.startsWith(sessionPrefix) ? sessionOf(state, feed.slice(sessionPrefix.length)) : undefined
  const entries = (session?.feed.since(0).entries ?? []).filter(({ seq }) => seq <= through)
  const rowOf = ({
    seq,
    operationId,
    displayName,
    kind,
    outcome,
    completedAtMs,
  }: (typeof entries)[number]): CompletionRow => ({
    seq,
    item: { type: 'operation', id: operationId, ...(session !== undefined && { session: session.id }) },
    name: cut(displayName),
    kind,
    outcome: outcome.type,
    atMs: completedAtMs,
  })
  return { view: 'feed', feed, ...pageOfMade(entries.toReversed(), rowOf, window) }
}
