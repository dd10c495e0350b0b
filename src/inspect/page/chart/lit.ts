import type { MachineDefinition, StateNode } from '../../stream/protocol.js'

/**
 * The states to highlight, with the number of items in each: the occupied states and those around them. An item in a
 * parallel state is in each of its regions, but counts once for the parallel state.
 */
export function litStates(
  machine: MachineDefinition,
  occupancy: Readonly<Record<string, number>>,
): ReadonlyMap<string, number> {
  const children = new Map<string, StateNode[]>()
  for (const state of machine.states) {
    if (state.parent !== undefined) children.set(state.parent, [...(children.get(state.parent) ?? []), state])
  }
  const lit = new Map<string, number>()
  const countIn = (state: StateNode): number => {
    const inside = (children.get(state.id) ?? []).map(countIn)
    const own = Object.hasOwn(occupancy, state.id) ? (occupancy[state.id] ?? 0) : 0
    const many = own + (state.type === 'parallel' ? Math.max(0, ...inside) : inside.reduce((sum, one) => sum + one, 0))
    if (many > 0) lit.set(state.id, many)
    return many
  }
  for (const state of machine.states) if (state.parent === undefined) countIn(state)
  return lit
}
