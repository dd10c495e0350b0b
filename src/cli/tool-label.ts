import { createHash } from 'node:crypto'
import type { PlannedTool } from './plan.js'

/** What the source label of an operation says about the tool it ran. */
export interface ToolLabel {
  readonly name: string
  /** Digest of everything that decides what is run and how its end is judged. */
  readonly definition: string
}

/** The label of an operation that runs the tool as it is defined now: `tool:<name>#<definition>`. */
export function labelOf(tool: PlannedTool): string {
  return `tool:${tool.name}#${definitionOf(tool)}`
}

/** Reads a label; nothing for an operation that ran no tool. */
export function parseLabel(label: string): ToolLabel | undefined {
  const [, name, definition] = /^tool:([^#]+)#([0-9a-f]{16})$/.exec(label) ?? []
  return name === undefined || definition === undefined ? undefined : { name, definition }
}

/** Digest of the tool's definition; what is only shown does not count, nor does where the checkout lies. */
export function definitionOf({ command, args, cwd, env, timeoutMs, expect }: PlannedTool): string {
  const sortedEnv = Object.entries(env).sort(([one], [other]) => (one < other ? -1 : 1))
  const essence = JSON.stringify([command, args, cwd, sortedEnv, timeoutMs ?? null, expect])
  return createHash('sha256').update(essence).digest('hex').slice(0, 16)
}
