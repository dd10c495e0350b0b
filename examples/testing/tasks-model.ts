/** A service that accepts commands of tasks over HTTP, compared with the model: docs/testing.md. */
// #region shown
import fc from 'fast-check'
import { StatewardError } from 'stateward'
import type { Run } from 'stateward/tasks'
import { checkTasksModel, type ModelSearch, type TasksPort } from 'stateward/testing'

/** The service at an address: it accepts some commands, and reports runs. */
function commandService(url: string): TasksPort {
  const answer = async <Body>(response: Response): Promise<Body> => {
    const body = (await response.json()) as Body & { readonly code: string }
    if (!response.ok) throw new StatewardError(body.code, `the service answered ${response.status}`, undefined)
    return body
  }
  return {
    submit: async (command) => {
      const body = JSON.stringify(command)
      return answer<{ sequence: number }>(await fetch(`${url}/commands`, { method: 'POST', body }))
    },
    run: async (id) => {
      const { state } = await answer<Pick<Run, 'state'>>(await fetch(`${url}/runs/${id}`))
      return { state }
    },
  }
}

/** Rejects with the shortest history for which a service is wrong; `open` resolves with the address of a new one. */
export async function checkCommandService(open: () => Promise<string>, search: ModelSearch = {}): Promise<void> {
  await checkTasksModel(fc, {
    ...search,
    open: async () => ({ port: commandService(await open()) }),
    commands: ['task_create', 'run_create', 'run_state_transition', 'task_cancel'],
  })
}
// #endregion
