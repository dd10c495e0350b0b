import { InvalidInputError, StatewardError } from '../../base/errors.js'
import { parseUuid } from '../../base/ids.js'
import type { OperationId } from '../../../machines/operation-vocabulary.js'
import type { Runtime } from '../../runtime.js'
import type { RunId, TaskId } from '../../tasks/index.js'
import type { ActionAnswer, ActionName, ActionRequest, ItemRef } from '../stream/protocol.js'
import { readOnly } from './refusals.js'

/** The reason that is recorded when a viewer gives none. */
const usualReason = 'asked for in the inspector'

/**
 * Carries out an action of a viewer through the ordinary functions of the rooms. Rejects with `inspector_read_only`
 * unless the action is allowed, with `invalid_input`, `not_found`, and with the refusals of the rooms.
 */
export async function actOnRuntime(
  runtime: Runtime,
  request: ActionRequest,
  allowed: readonly ActionName[],
): Promise<ActionAnswer> {
  const { action } = request
  if (!allowed.includes(action)) throw readOnly(action)
  switch (request.action) {
    case 'cancel':
      await cancel(runtime, request.item, request.reason ?? usualReason)
      return { action }
    case 'terminate':
      await terminate(runtime, request.item, request.reason ?? usualReason)
      return { action }
    case 'retry':
      return { action, item: { type: 'task', id: (await runtime.tasks.retry(taskIdOf(request.item))).id } }
    case 'answer':
      await runtime.tasks.answer(taskIdOf(request.item), request.name, request.value)
      return { action }
    case 'pause':
      await runtime.tasks.pauseEngine()
      return { action }
    case 'resume':
      await runtime.tasks.resumeEngine()
      return { action }
  }
}

async function cancel(runtime: Runtime, item: ItemRef, reason: string): Promise<void> {
  switch (item.type) {
    case 'operation': {
      const { operations } = sessionOf(runtime, item)
      return operations.cancelOperation(parseUuid<OperationId>(item.id, 'operation id'), reason)
    }
    case 'task':
      return void (await runtime.tasks.cancel(taskIdOf(item)))
    case 'run':
      return void (await runtime.tasks.cancelRun(parseUuid<RunId>(item.id, 'run id')))
    case 'process':
      return void (await runtime.processes.get(undefined, item.id).cancel(reason))
    default:
      throw notForThis('cancel', item)
  }
}

/** An operation is ended at once; for a process the request is recorded for whoever runs it. */
async function terminate(runtime: Runtime, item: ItemRef, reason: string): Promise<void> {
  switch (item.type) {
    case 'operation': {
      const { operations } = sessionOf(runtime, item)
      return operations.terminateOperation(parseUuid<OperationId>(item.id, 'operation id'), reason)
    }
    case 'process': {
      const request = { requestedBy: 'inspector', requestedAtMs: Math.trunc(runtime.inspected.nowMs()), reason }
      return void (await runtime.processes.store.requestAbandon(item.id, request))
    }
    default:
      throw notForThis('terminate', item)
  }
}

function sessionOf(runtime: Runtime, { session = '' }: ItemRef) {
  const found = runtime.findSession(session)
  if (found === undefined) throw new StatewardError('session_not_found', `session not found: ${session}`, { session })
  return found
}

function taskIdOf(item: ItemRef): TaskId {
  if (item.type !== 'task') throw notForThis('this', item)
  return parseUuid<TaskId>(item.id, 'task id')
}

function notForThis(action: string, { type }: ItemRef): InvalidInputError {
  return new InvalidInputError({
    subject: 'action request',
    field: 'item.type',
    reason: `${action} is not for a ${type}`,
  })
}
