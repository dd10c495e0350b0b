import type { Part, PartName } from '../stream/protocol.js'
import { budgetsView } from './budgets.js'
import { feedsView } from './feeds.js'
import { mostWaits } from './limits.js'
import type { InspectedSession, InspectedState } from './state.js'
import { questionsOf } from './waits.js'

/** A part as it is now. */
export interface CurrentPart {
  readonly part: PartName
  readonly key: string
  /** Whether its row never changes. */
  readonly isFixed: boolean
  make(): Part
}

/** The maximum number of members listed for a barrier. */
const mostMembers = 5000

/**
 * What the stream tells of besides actors and items: feeds, barriers, and the first 500 questions and budgets.
 * O(sessions + open waits + budgets).
 */
export function* partsOf(state: InspectedState): Iterable<CurrentPart> {
  for (const row of feedsView(state).feeds) yield current({ part: 'feed', key: row.feed, row })
  for (const session of state.sessions()) {
    for (const wait of session.operations.pendingWaits()) {
      const key = `${session.id} ${wait.requestId}`
      yield { part: 'barrier', key, isFixed: true, make: () => barrierPart(session, wait, key) }
    }
  }
  for (const row of questionsOf(state).slice(0, mostWaits.limit)) {
    yield current({ part: 'question', key: `${row.run.id} ${row.name}`, row })
  }
  for (const row of budgetsView(state, mostWaits).rows) {
    yield current({ part: 'budget', key: `${row.task.id} ${row.dimension}`, row })
  }
}

function current(part: Part): CurrentPart {
  return { part: part.part, key: part.key, isFixed: false, make: () => part }
}

function barrierPart(
  { id: session, operations }: InspectedSession,
  { requestId: id, turnId, operationIds }: ReturnType<InspectedSession['operations']['pendingWaits']>[number],
  key: string,
): Part {
  const missing = operationIds.filter((operation) => operations.snapshot(operation)?.terminal !== true)
  const listed = missing.slice(0, mostMembers)
  const members = operationIds.length
  return {
    part: 'barrier',
    key,
    row: { id, session, turnId, members, operations: listed, unlisted: missing.length - listed.length },
  }
}
