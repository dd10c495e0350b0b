import { createHash } from 'node:crypto'
import type { PlannedTool } from './plan.js'

/** What the source label of an operation records about the tool it ran. */
export interface ToolLabel {
  readonly name: string
  /** Digest of everything that decides what is run and how its end is judged. */
  readonly definition: string
  /** The attempt, from 1. */
  readonly attempt: number
}

/** The label of an operation that runs this expanded tool: `tool:<name>#<definition>@<attempt>`. */
export function labelOf(tool: PlannedTool, attempt: number): string {
  return `tool:${tool.name}#${definitionOf(tool)}@${attempt}`
}

/** Parses a label; `undefined` for an operation that ran no tool. */
export function parseLabel(label: string): ToolLabel | undefined {
  const [, name, definition, attempt] = /^tool:([^#]+)#([0-9a-f]{16})@(\d{1,4})$/.exec(label) ?? []
  if (name === undefined || definition === undefined) return undefined
  return { name, definition, attempt: Number(attempt) }
}

/**
 * Digest of the expanded tool. It leaves out what is only displayed, when the tool starts, how often it is retried, and
 * where the checkout is.
 */
export function definitionOf({ command, args, cwd, env, timeoutMs, expect }: PlannedTool): string {
  const sortedEnv = Object.entries(env).sort(([one], [other]) => (one < other ? -1 : 1))
  const essence = JSON.stringify([command, args, cwd, sortedEnv, timeoutMs ?? null, expect])
  return createHash('sha256').update(essence).digest('hex').slice(0, 16)
}
