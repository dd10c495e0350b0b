import { runStates } from '../tasks/index.js'
import type { HttpRoute } from './route.js'

/** The route of the runtime's status. */
export const statusRoutes: readonly HttpRoute[] = [
  {
    method: 'GET',
    path: '/status',
    handle: ({ runtime }) => {
      const { health: journal, jobs, tasks } = runtime
      const { projection } = tasks
      const isWell = journal.status === 'open'
      return {
        status: isWell ? 200 : 503,
        body: {
          status: isWell ? 'ok' : 'unavailable',
          journal,
          sessions: Array.from(runtime.sessions()).length,
          jobs: jobs.size,
          tasks: projection.taskCount,
          runs: Object.fromEntries(runStates.map((state) => [state, projection.countIn(state)])),
          watermark: tasks.feed.watermark(),
        },
      }
    },
  },
]
