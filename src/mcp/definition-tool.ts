import { fromJsonSchema, type StandardSchemaWithJSON } from '@modelcontextprotocol/server'
import type { JsonValue } from '../base/json.js'
import { isProcessDefinition, type ProcessDefinition, type SchemaMap } from '../processes/index.js'
import type { Runtime } from '../runtime.js'
import { isTaskDefinition, type TaskDefinition } from '../tasks/index.js'
import { encodeValue, isSchema } from '../work/values.js'
import type { DurableTool } from './life/tool.js'
import type { ToolResult } from './wire/shapes.js'
import { listingFault, type McpToolOptions } from './sdk/tool-definition.js'

/** The definition of a process or a task, with the types of its input and result. */
export type ToolDefinition<
  Input = unknown,
  Output = unknown,
  Events extends SchemaMap = SchemaMap,
  Signals extends SchemaMap = SchemaMap,
> = ProcessDefinition<Input, Output, Events, Signals> | TaskDefinition<Input, Output>

/** The work of a definition: started once for each MCP task, and found again after a restart. */
interface DefinedWork extends Pick<DurableTool, 'run' | 'begin' | 'cancel'> {
  readonly listed: McpToolOptions
}

/** Whether a value was made by `defineProcess` or `defineTask`. */
export function isDefinition(candidate: unknown): candidate is ToolDefinition {
  return isProcessDefinition(candidate) || isTaskDefinition(candidate)
}

/**
 * Exposes a definition as a tool. A process or task of that definition does the work, under its own rules, and the MCP
 * task follows it.
 */
export function asDurableTool(definition: ToolDefinition, runtime: Runtime): DefinedWork {
  const { kind } = definition
  const outputSchema = listedSchema(definition.output, 'output')
  const listed: McpToolOptions = {
    description: kind,
    inputSchema: listedSchema(definition.input, 'input') ?? anyObject,
    ...(outputSchema !== undefined && { outputSchema }),
  }
  const run = (): never => {
    throw new TypeError(`${kind} is run by its own definition`)
  }
  const work = isProcessDefinition(definition) ? processWork(definition, runtime) : taskWork(definition, runtime)
  return { listed, run, ...work }
}

function processWork(definition: ProcessDefinition, { processes }: Runtime): Pick<DurableTool, 'begin' | 'cancel'> {
  return {
    begin: async (args, taskId) => {
      const handle = await processes.start(definition, args, { id: workIdOf(taskId), label: definition.kind })
      return asResult(await handle.result(), definition.kind)
    },
    cancel: async (taskId) =>
      void (await processes.get(undefined, workIdOf(taskId)).cancel('the MCP task was cancelled')),
  }
}

function taskWork(definition: TaskDefinition, { tasks }: Runtime): Pick<DurableTool, 'begin' | 'cancel'> {
  const begun = new Map<string, { cancel(): Promise<unknown> }>()
  return {
    begin: async (args, taskId) => {
      const handle = await tasks.submit(definition, args, { key: workIdOf(taskId) })
      begun.set(taskId, handle)
      try {
        return asResult(await handle.result(), definition.kind)
      } finally {
        begun.delete(taskId)
      }
    },
    cancel: async (taskId) => void (await begun.get(taskId)?.cancel()),
  }
}

function workIdOf(taskId: string): string {
  return `mcp:${taskId}`
}

/** A value as a tool result: as structured data, and as text for hosts that show text. */
function asResult(value: unknown, kind: string): ToolResult {
  const encoded: JsonValue = encodeValue(value, `result of ${kind}`) ?? null
  const text = typeof encoded === 'string' ? encoded : JSON.stringify(encoded)
  const isObject = typeof encoded === 'object' && encoded !== null && !Array.isArray(encoded)
  return { content: [{ type: 'text', text }], ...(isObject && { structuredContent: encoded }) }
}

const anyObject = fromJsonSchema({ type: 'object' })

/** The schema, if hosts can be shown it as JSON Schema, which not every Standard Schema supports. */
function listedSchema(schema: unknown, side: 'input' | 'output'): StandardSchemaWithJSON | undefined {
  if (!isSchema(schema)) return undefined
  const listed = schema as unknown as StandardSchemaWithJSON
  return listingFault(listed, side) === undefined ? listed : undefined
}
