import type { MachineDefinition, StateNode, TransitionEdge } from '../../stream/protocol.js'

/** A state with its content, and how it is drawn: which transitions are lines in its box, and which are arrows. */
export interface Outline {
  readonly state: StateNode
  readonly children: readonly Outline[]
  /** What runs while it is active, and its entry and exit actions. */
  readonly notes: readonly string[]
  /**
   * Transitions written in the box: those without a target, and those that cannot be an arrow between two children of a
   * state.
   */
  readonly inside: readonly string[]
  /** Arrows between children of this state. */
  readonly arrows: readonly Arrow[]
}

/** All transitions from one child to another. */
export interface Arrow {
  readonly from: string
  readonly to: string
  readonly labels: readonly string[]
}

/** The label of a transition: `event [guard] / action`. */
export function transitionText({ event, guard, actions }: TransitionEdge): string {
  const condition = guard === undefined ? '' : ` [${guard}]`
  const effect = actions.length === 0 ? '' : ` / ${actions.join(', ')}`
  return `${event}${condition}${effect}`
}

/**
 * Sorts the parts of a chart into boxes and arrows. An arrow connects two children of the innermost state that contains
 * both ends of a transition: those that contain the ends. A transition without two such children (an internal one, one
 * of the root, one from a state to itself) is a line in the box of its source.
 */
export function outline(machine: MachineDefinition): Outline {
  const states = new Map(machine.states.map((state) => [state.id, state]))
  const children = new Map<string, StateNode[]>()
  const inside = new Map<string, string[]>()
  const arrows = new Map<string, Map<string, { from: string; to: string; labels: string[] }>>()

  for (const state of machine.states) if (state.parent !== undefined) push(children, state.parent, state)

  /** The path from the root down to the state. */
  function pathTo(id: string): readonly string[] {
    const path: string[] = []
    for (let at = states.get(id); at !== undefined; at = at.parent === undefined ? undefined : states.get(at.parent))
      path.unshift(at.id)
    return path
  }

  for (const transition of machine.transitions) {
    const text = transitionText(transition)
    if (transition.targets.length === 0) push(inside, transition.source, text)
    for (const target of transition.targets) {
      const source = pathTo(transition.source)
      const goal = pathTo(target)
      let depth = 0
      while (depth < source.length && depth < goal.length && source[depth] === goal[depth]) depth += 1
      const [container, from, to] = [source[depth - 1], source[depth], goal[depth]]
      // A transition never leaves one region of a parallel state for another: such a target re-enters the whole state.
      if (
        container === undefined ||
        from === undefined ||
        to === undefined ||
        states.get(container)?.type === 'parallel'
      ) {
        push(inside, transition.source, target === transition.source ? text : `${text} → ${keyOf(states, target)}`)
        continue
      }
      const within = arrows.get(container) ?? new Map<string, { from: string; to: string; labels: string[] }>()
      arrows.set(container, within)
      const pair = `${from}\n${to}`
      const arrow = within.get(pair) ?? { from, to, labels: [] }
      within.set(pair, arrow)
      const origin = from === transition.source ? '' : `${keyOf(states, transition.source)}: `
      const end = to === target ? '' : ` → ${keyOf(states, target)}`
      const label = `${origin}${text}${end}`
      if (!arrow.labels.includes(label)) arrow.labels.push(label)
    }
  }

  function outlineOf(state: StateNode): Outline {
    return {
      state,
      children: (children.get(state.id) ?? []).map(outlineOf),
      notes: [
        ...state.invokes.map((name) => `runs ${name}`),
        ...state.entry.map((name) => `entry / ${name}`),
        ...state.exit.map((name) => `exit / ${name}`),
      ],
      inside: inside.get(state.id) ?? [],
      arrows: [...(arrows.get(state.id)?.values() ?? [])],
    }
  }

  const [root] = machine.states
  if (root === undefined) throw new RangeError(`the chart ${machine.id} has no states`)
  return outlineOf(root)
}

function keyOf(states: ReadonlyMap<string, StateNode>, id: string): string {
  return states.get(id)?.key ?? id
}

function push<Value>(lists: Map<string, Value[]>, key: string, value: Value): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [value])
  else list.push(value)
}
