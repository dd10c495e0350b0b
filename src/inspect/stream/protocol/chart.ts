/** A chart as a graph. */
export interface MachineDefinition {
  readonly id: string
  readonly description?: string
  /** The root first, each before what it contains, in the order of the chart. */
  readonly states: readonly StateNode[]
  readonly transitions: readonly TransitionEdge[]
}

/** A state of a chart. */
export interface StateNode {
  /** Path from the root, joined by dots; the root's is the id of the machine. */
  readonly id: string
  readonly key: string
  /** Absent at the root. */
  readonly parent?: string
  readonly type: 'atomic' | 'compound' | 'parallel' | 'final' | 'history'
  /** The child that is entered first, of `compound`. */
  readonly initial?: string
  readonly description?: string
  readonly entry: readonly string[]
  readonly exit: readonly string[]
  readonly invokes: readonly string[]
  readonly tags: readonly string[]
}

/** A transition of a chart. */
export interface TransitionEdge {
  readonly source: string
  /** Type of the event; `always` without one, `after 5000` for a time, `done(child)` and `error(child)` for what was invoked. */
  readonly event: string
  /** None: it stays, and only acts. */
  readonly targets: readonly string[]
  /** As written: `isLive`, `not(isLive)`, `and(isLive, isWhole)`. */
  readonly guard?: string
  readonly actions: readonly string[]
  readonly description?: string
}
