import type { KnownState } from '../stream/known-state.js'
import type { BarrierRow, BudgetsView, FeedsView, ItemRow, OpenBarrier, WaitsView } from '../stream/protocol.js'
import { hasEnded, type RowTable } from '../stream/row-table.js'
import { mostUsedFirst } from './budget-order.js'
import { mostMissing, mostWaits } from './limits.js'
import { pageOf, type Window } from './pages.js'

/** The feeds as they were known at some time. */
export function pastFeeds({ parts }: KnownState): FeedsView {
  return { view: 'feeds', feeds: [...parts.rows('feed')] }
}

/** The number of the last end in a feed at some time; 0 if nothing was known of the feed. */
export function pastWatermark({ parts }: KnownState, feed: string): number {
  for (const row of parts.rows('feed')) if (row.feed === feed) return row.watermark
  return 0
}

/** Who waited for what at some time. */
export function pastWaits({ parts, rows }: KnownState): WaitsView {
  const { rows: waiting, total } = rows.list({ view: 'list', phases: ['waiting'], ...mostWaits })
  return {
    view: 'waits',
    barriers: pageOf(
      Array.from(parts.rows('barrier'), (barrier) => barrierRow(rows, barrier)),
      mostWaits,
    ),
    questions: pageOf([...parts.rows('question')], mostWaits),
    waits: {
      total,
      offset: 0,
      rows: waiting.map(({ type, id, session, name, waitsFor, status }) => ({
        item: { type, id, ...(session !== undefined && { session }) },
        name,
        waitsFor: waitsFor ?? status,
      })),
    },
  }
}

/** Budgets as they were at some time, the most used first. */
export function pastBudgets({ parts }: KnownState, window: Window): BudgetsView {
  return { view: 'budgets', ...pageOf([...parts.rows('budget')].sort(mostUsedFirst), window) }
}

function barrierRow(rows: RowTable, { id, session, turnId, members, operations, unlisted }: OpenBarrier): BarrierRow {
  const missing = operations.flatMap((operation): readonly ItemRow[] => {
    const row = rows.row({ type: 'operation', id: operation, session })
    return row === undefined || hasEnded(row) ? [] : [row]
  })
  return {
    id,
    session,
    turnId,
    members,
    missing: missing.slice(0, mostMissing),
    missingCount: missing.length + unlisted,
  }
}
