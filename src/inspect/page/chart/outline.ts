import type { MachineDefinition, StateNode, TransitionEdge } from '../../stream/protocol.js'

/** A state with what is inside it, and how it is drawn: which transitions are lines in its box, which are arrows. */
export interface Outline {
  readonly state: StateNode
  readonly children: readonly Outline[]
  /** What happens on the way in, out and while it is there. */
  readonly notes: readonly string[]
  /** Transitions that are written in the box: those that stay, and those that lead into it or out of nowhere beside it. */
  readonly inside: readonly string[]
  /** Arrows between children of this state. */
  readonly arrows: readonly Arrow[]
}

/** All that leads from one child to another. */
export interface Arrow {
  readonly from: string
  readonly to: string
  readonly labels: readonly string[]
}

/** What a transition says: `event [guard] / action`. */
export function transitionText({ event, guard, actions }: TransitionEdge): string {
  const condition = guard === undefined ? '' : ` [${guard}]`
  const effect = actions.length === 0 ? '' : ` / ${actions.join(', ')}`
  return `${event}${condition}${effect}`
}

/**
 * Sorts the parts of a chart into boxes and arrows. An arrow is drawn between the two children, of the innermost state that contains
 * both ends, in which the ends lie. What has no such two children (a transition that stays, one of the root, one from a state into
 * itself) is a line in the box of its source.
 */
export function outline(machine: MachineDefinition): Outline {
  const states = new Map(machine.states.map((state) => [state.id, state]))
  const children = new Map<string, StateNode[]>()
  const inside = new Map<string, string[]>()
  const arrows = new Map<string, Map<string, { from: string; to: string; labels: string[] }>>()

  for (const state of machine.states) if (state.parent !== undefined) push(children, state.parent, state)

  /** From the root down to the state. */
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
      // Regions of a parallel state are not left for each other: what aims from one into another re-enters the whole.
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
