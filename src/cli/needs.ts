import type { PlannedTool } from './plan.js'

type Needing = Pick<PlannedTool, 'name' | 'needs'>

/**
 * Orders tools so that each comes after everything it needs, and otherwise as given. `left` are the tools that cannot
 * be placed because of a circle.
 */
export function orderByNeeds<Tool extends Needing>(tools: readonly Tool[]): { ordered: Tool[]; left: Tool[] } {
  /** By tool, how many of its needs are not placed yet; tools that are placed have no entry. */
  const waiting = new Map(tools.map((tool) => [tool, tool.needs.length]))
  const neededBy = new Map<string, Tool[]>()
  for (const { name } of tools) neededBy.set(name, [])
  for (const tool of tools) for (const need of tool.needs) neededBy.get(need)?.push(tool)
  const ordered: Tool[] = []
  for (let next = firstReady(waiting); next !== undefined; next = firstReady(waiting)) {
    ordered.push(next)
    waiting.delete(next)
    for (const tool of neededBy.get(next.name) ?? []) waiting.set(tool, (waiting.get(tool) ?? 0) - 1)
  }
  return { ordered, left: [...waiting.keys()] }
}

function firstReady<Tool>(waiting: ReadonlyMap<Tool, number>): Tool | undefined {
  for (const [tool, needs] of waiting) if (needs === 0) return tool
  return undefined
}

/** The names along a circle of needs among tools that cannot be ordered; the first name is repeated at the end. */
export function circleOf(left: readonly Needing[]): string[] {
  const byName = new Map(left.map((tool) => [tool.name, tool]))
  const path: string[] = []
  for (let name = left[0]?.name; name !== undefined; name = byName.get(name)?.needs.find((need) => byName.has(need))) {
    const start = path.indexOf(name)
    path.push(name)
    if (start >= 0) return path.slice(start)
  }
  return path
}
