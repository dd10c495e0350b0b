import type { AnyStateMachine, AnyStateNode } from 'xstate'
import { actionName, eventName, guardName } from '../../machines/chart-names.js'

/** One transition of a chart, with every name as the chart spells it. */
export interface Edge {
  readonly source: AnyStateNode
  /** Empty for a transition that stays where it is. */
  readonly targets: readonly AnyStateNode[]
  readonly event: string
  readonly guard: string | undefined
  readonly actions: readonly string[]
  readonly reenters: boolean
  readonly description: string | undefined
  readonly meta: Readonly<Record<string, unknown>>
}

/** Every state below the root, parents before children, in the order the chart states them. */
export function statesOf(machine: AnyStateMachine): AnyStateNode[] {
  return childrenOf(machine.root).flatMap(withDescendants)
}

function withDescendants(node: AnyStateNode): AnyStateNode[] {
  return [node, ...childrenOf(node).flatMap(withDescendants)]
}

/** The child states in the order the chart states them. */
export function childrenOf(node: AnyStateNode): AnyStateNode[] {
  return Object.values(node.states)
}

/** Every transition, the root's own first; several for one event stand in the order in which guards are asked. */
export function edgesOf(machine: AnyStateMachine): Edge[] {
  return [machine.root, ...statesOf(machine)].flatMap((source) => {
    const transitions = [...source.transitions.values(), source.always ?? []].flat()
    return transitions.map(({ eventType, target, guard, actions, reenter, description, meta }) => ({
      source,
      targets: target ?? [],
      event: eventName(eventType),
      guard: guard === undefined ? undefined : guardName(guard),
      actions: actions.map(actionName),
      reenters: reenter,
      description,
      meta: meta ?? {},
    }))
  })
}

/** The state as a reader knows it: its path below the root, or the machine's id for the root. */
export function stateName(node: AnyStateNode): string {
  return node.path.length === 0 ? node.id : node.path.join('.')
}
