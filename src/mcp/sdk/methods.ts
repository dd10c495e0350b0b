import type { McpServer, ServerContext } from '@modelcontextprotocol/server'
import type { TaskState } from '../wire/detailed-task.js'
import { declaresTasks } from '../wire/capability.js'
import { internalError } from '../wire/errors.js'
import type { PollGate } from '../life/limits.js'
import {
  answering,
  capabilitiesOf,
  capabilityMissing,
  protocolError,
  taskAsked,
  type DoorContext,
  type McpAction,
} from './request.js'

/** Accepts any params, because errors in them are reported only after missing capabilities (M-2). */
const anything = {
  '~standard': { version: 1 as const, vendor: 'stateward', validate: (value: unknown) => ({ value }) },
}

/** Serves `tasks/get`, `tasks/update` and `tasks/cancel` on a server. */
export function serveMethods({ server }: McpServer, door: DoorContext, gate: PollGate | undefined): void {
  const { life, notes } = door
  const on = (
    method: string,
    answer: (params: unknown, ctx: ServerContext) => Promise<Record<string, unknown>>,
  ): void => {
    server.setRequestHandler(method, { params: anything }, (params, ctx) => answering(door, () => answer(params, ctx)))
  }
  on('tasks/get', async (params, ctx) => {
    const state = await asked(door, 'read', params, ctx)
    const retryAfterMs = gate?.delayOf(state.taskId) ?? 0
    if (retryAfterMs > 0) {
      notes.noteDelay(ctx, retryAfterMs)
      throw protocolError(internalError('polled too fast', { retryAfterMs }))
    }
    return { ...notes.withoutResult(ctx, life.detailed(state)), resultType: 'complete' }
  })
  on('tasks/update', async (params, ctx) => {
    const state = await asked(door, 'answer', params, ctx)
    // The SDK moves the answers from the params to the context.
    await life.answer(state, ctx.mcpReq.inputResponses ?? {})
    return { resultType: 'complete' }
  })
  on('tasks/cancel', async (params, ctx) => {
    const state = await asked(door, 'cancel', params, ctx)
    await life.cancel(state)
    return { resultType: 'complete' }
  })
}

/** The task of a request. First checks the declared capabilities, then what is common to all requests for a task. */
async function asked(door: DoorContext, action: McpAction, params: unknown, ctx: ServerContext): Promise<TaskState> {
  if (!declaresTasks(capabilitiesOf(ctx))) throw capabilityMissing()
  return taskAsked(door, action, params, ctx)
}
