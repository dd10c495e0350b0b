import { viewNames, type View, type ViewName, type ViewRequest } from '../stream/protocol.js'
import { budgetsView } from '../views/budgets.js'
import type { KnownState } from '../stream/known-state.js'
import { feedsView, feedView } from '../views/feeds.js'
import { graphView } from '../views/graph.js'
import { historyView } from '../views/history.js'
import { itemView } from '../views/item.js'
import { pastWatermark } from '../views/past.js'
import { processesView } from '../views/processes.js'
import { schedulesView } from '../views/schedules.js'
import type { InspectedState } from '../views/state.js'
import { waitsView } from '../views/waits.js'
import { viewUnknown } from './refusals.js'

/** The views of a source that has rooms. */
export const viewsOfRooms: readonly ViewName[] = viewNames.filter((name) => name !== 'node')

/**
 * Answers a view from the rooms. `directory`: the directory of the journal, if there is one; `then`: what was known at
 * the requested time, for the past.
 */
export async function stateView(
  state: InspectedState,
  request: ViewRequest,
  directory: string | undefined,
  then: KnownState | undefined,
): Promise<View> {
  switch (request.view) {
    case 'item':
      return itemView(state, request.item)
    case 'history':
      return historyView(state, request, directory)
    case 'feeds':
      return feedsView(state)
    case 'feed':
      return feedView(state, request.feed, request, then && pastWatermark(then, request.feed))
    case 'waits':
      return waitsView(state)
    case 'graph':
      return graphView(state, request)
    case 'budgets':
      return budgetsView(state, request)
    case 'schedules':
      return schedulesView(state, request)
    case 'processes':
      return processesView(state, request)
    default:
      throw viewUnknown(request.view)
  }
}
