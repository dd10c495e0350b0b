import type { Feed } from '../../base/feed.js'
import type { OperationView, Session } from '../../operations/index.js'
import type { ProcessStore } from '../../processes/index.js'
import type { TaskEnd, TaskProjection } from '../../tasks/index.js'
import type { ShownValues } from '../stream/shown-values.js'

/** What views read of a session. */
export type InspectedSession = Pick<Session, 'id' | 'epochId' | 'feed' | 'lost'> & {
  readonly view: Pick<Session['view'], 'rows' | 'row'>
  readonly operations: Pick<Session['operations'], 'snapshot' | 'activeCount' | 'completionCursor' | 'pendingWaits'>
}

/** The input of views: the rooms of a runtime, or of a directory that is only read. */
export interface InspectedState {
  sessions(): Iterable<InspectedSession>
  readonly tasks: TaskProjection
  readonly taskEnds: Feed<TaskEnd>
  readonly processes: Pick<ProcessStore, 'getProcess' | 'listProcesses' | 'eventsAfter' | 'recentEvents' | 'getLease'>
  readonly shown: ShownValues
  /** Whether unfinished items may still be running, because the owner is alive. */
  readonly isOwned: boolean
  /** Epoch milliseconds. */
  nowMs(): number
}

/** The operations of a session in the order they were requested, as far as their ids, which begin with the time, tell. */
export function operationsOf({ view }: Pick<InspectedSession, 'view'>): readonly OperationView[] {
  return view.rows().toSorted((one, other) => (one.id < other.id ? -1 : 1))
}

/** The session of this name. */
export function sessionOf(state: InspectedState, name: string | undefined): InspectedSession | undefined {
  for (const session of state.sessions()) if (session.id === name) return session
  return undefined
}
