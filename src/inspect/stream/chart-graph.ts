import type { AnyStateMachine, AnyStateNode, StateValue } from 'xstate'
import { actionName, eventName, guardName } from '../../../machines/chart-names.js'
import type { MachineDefinition, StateNode, TransitionEdge } from './protocol.js'

/** The maximum length of a name or description. */
const longestText = 2000

/** Converts the chart of a machine to a graph: plain data, with names instead of functions. */
export function chartGraph(machine: AnyStateMachine, id: string = machine.id): MachineDefinition {
  const nodes = withDescendants(machine.root)
  const { description } = machine.root
  return {
    id,
    ...(description !== undefined && { description: cut(description) }),
    states: nodes.map(stateOf),
    transitions: nodes.flatMap(edgesOf),
  }
}

/** The ids of the innermost states in a state value; states that the chart does not have are left out. */
export function innermostStates(machine: AnyStateMachine, value: StateValue): readonly string[] {
  if (typeof value !== 'string') return statesIn(machine, value)
  let known = ofFlatCharts.get(machine)
  if (known === undefined) ofFlatCharts.set(machine, (known = new Map()))
  let states = known.get(value)
  if (states === undefined) known.set(value, (states = statesIn(machine, value)))
  return states
}

/** A cache for charts without regions, which are the majority: the states of each value. */
const ofFlatCharts = new WeakMap<AnyStateMachine, Map<string, readonly string[]>>()

function statesIn(machine: AnyStateMachine, value: StateValue): readonly string[] {
  const found: string[] = []
  collect(machine.root, value, found)
  return found
}

function collect(node: AnyStateNode, value: StateValue, found: string[]): void {
  const inner = typeof value === 'string' ? [[value, {}] as const] : Object.entries(value)
  if (inner.length === 0) found.push(node.id)
  for (const [key, below] of inner) {
    const child = Object.hasOwn(node.states, key) ? (node.states[key] as AnyStateNode) : undefined
    if (child !== undefined) collect(child, below ?? {}, found)
  }
}

function withDescendants(node: AnyStateNode): readonly AnyStateNode[] {
  return [node, ...Object.values(node.states).flatMap((child) => withDescendants(child as AnyStateNode))]
}

function stateOf({ id, key, parent, type, initial, description, entry, exit, invoke, tags }: AnyStateNode): StateNode {
  const first = type === 'compound' ? initial.target[0]?.id : undefined
  return {
    id,
    key,
    ...(parent !== undefined && { parent: parent.id }),
    type,
    ...(first !== undefined && { initial: first }),
    ...(description !== undefined && { description: cut(description) }),
    entry: entry.map(nameOf),
    exit: exit.map(nameOf),
    invokes: invoke.map(({ src, id: invokeId }) => cut(typeof src === 'string' ? src : invokeId)),
    tags: [...tags],
  }
}

function edgesOf(source: AnyStateNode): readonly TransitionEdge[] {
  const ways = [...source.transitions.values(), source.always ?? []].flat()
  return ways.map(({ eventType, target = [], guard, actions, description }) => ({
    source: source.id,
    event: cut(eventName(eventType)),
    targets: target.map(({ id }) => id),
    ...(guard !== undefined && { guard: cut(guardName(guard)) }),
    actions: actions.map(nameOf),
    ...(description !== undefined && { description: cut(description) }),
  }))
}

function nameOf(action: unknown): string {
  return cut(actionName(action))
}

function cut(text: string): string {
  return text.length <= longestText ? text : `${text.slice(0, longestText)}…`
}
