import { fromJsonSchema, type McpServer, type ServerContext } from '@modelcontextprotocol/server'
import * as v from 'valibot'
import { toolError } from '../life/results.js'
import type { PollGate } from '../life/limits.js'
import type { DetailedTask, ToolResult } from '../wire/shapes.js'
import { taskAsked, wireErrorOf, type DoorContext } from './request.js'

/** A plain tool that gives access to tasks. */
interface CompanionTool {
  readonly description: string
  readonly inputSchema: ReturnType<typeof fromJsonSchema>
  readonly isReadOnly: boolean
  readonly run: (
    door: DoorContext,
    args: unknown,
    ctx: ServerContext,
    gate: PollGate | undefined,
  ) => Promise<ToolResult>
}

const taskId = { type: 'string', description: 'The id that the call has named' } as const
const answersSchema = v.looseObject({ answers: v.record(v.string(), v.unknown()) })

/** Plain tools, by name, that replace the task methods for hosts without the extension. */
export const companionTools: ReadonlyMap<string, CompanionTool> = new Map<string, CompanionTool>([
  [
    'task_status',
    {
      description: 'Says how a task is doing: what it asks, or its result once it has one',
      inputSchema: fromJsonSchema({ type: 'object', properties: { taskId }, required: ['taskId'] }),
      isReadOnly: true,
      async run(door, args, ctx, gate) {
        const state = await taskAsked(door, 'read', args, ctx)
        const retryAfterMs = gate?.delayOf(state.taskId) ?? 0
        if (retryAfterMs > 0) return toolError(`polled too fast: ask again in ${retryAfterMs} ms`)
        return statusOf(door.life.detailed(state))
      },
    },
  ],
  [
    'task_answer',
    {
      description: 'Answers what a task asks, by the keys of its questions',
      inputSchema: fromJsonSchema({
        type: 'object',
        properties: {
          taskId,
          answers: {
            type: 'object',
            description: 'By key: { "action": "accept", "content": { ... } }, or { "action": "decline" }',
          },
        },
        required: ['taskId', 'answers'],
      }),
      isReadOnly: false,
      async run(door, args, ctx) {
        const state = await taskAsked(door, 'answer', args, ctx)
        if (!v.is(answersSchema, args)) return toolError('answers is not an object of answers by key')
        await door.life.answer(state, args.answers)
        return said('the answers are taken')
      },
    },
  ],
  [
    'task_cancel',
    {
      description: 'Asks a task to end',
      inputSchema: fromJsonSchema({ type: 'object', properties: { taskId }, required: ['taskId'] }),
      isReadOnly: false,
      async run(door, args, ctx) {
        await door.life.cancel(await taskAsked(door, 'cancel', args, ctx))
        return said('the task is asked to end')
      },
    },
  ],
])

/**
 * Answers a call of a companion tool. Errors are results too, so that a model can read them. They reveal no more about
 * an id than the task methods do.
 */
export async function callCompanion(
  door: DoorContext,
  companion: CompanionTool,
  args: unknown,
  ctx: ServerContext,
  gate: PollGate | undefined,
): Promise<ToolResult> {
  try {
    return await companion.run(door, args, ctx, gate)
  } catch (thrown) {
    return toolError(wireErrorOf(thrown, door.logger).message)
  }
}

/** Lists the companion tools on a server. The door answers their calls. */
export function registerCompanions(mcp: McpServer, unreachable: () => never): void {
  for (const [name, { description, inputSchema, isReadOnly }] of companionTools)
    mcp.registerTool(name, { description, inputSchema, annotations: { readOnlyHint: isReadOnly } }, unreachable)
}

/** A task in words for a host without the extension: its result, or what it is doing and how to proceed. */
export function statusOf({
  taskId: id,
  status,
  statusMessage,
  inputRequests,
  result,
  error,
}: DetailedTask): ToolResult {
  if (status === 'completed') return result ?? { content: [] }
  if (status === 'failed') return toolError(`task ${id} has failed: ${error?.message ?? 'for reasons unknown'}`)
  if (status === 'cancelled') return said(`task ${id} was cancelled`)
  if (status === 'input_required')
    return said(
      `task ${id} asks, and goes on when task_answer has its answers by key: ${JSON.stringify(inputRequests)}`,
    )
  const doing = statusMessage === undefined ? '' : ` (${statusMessage})`
  return said(`task ${id} is working${doing}: ask task_status for its result, or task_cancel to end it`)
}

function said(text: string): ToolResult {
  return { content: [{ type: 'text', text }] }
}
