/** A chart as a graph. */
export interface MachineDefinition {
  readonly id: string
  readonly description?: string
  /** The root first, each state before its children, in the order of the chart. */
  readonly states: readonly StateNode[]
  readonly transitions: readonly TransitionEdge[]
}

/** A state of a chart. */
export interface StateNode {
  /** The path from the root, joined by dots; for the root, the id of the machine. */
  readonly id: string
  readonly key: string
  /** Absent at the root. */
  readonly parent?: string
  readonly type: 'atomic' | 'compound' | 'parallel' | 'final' | 'history'
  /** The initial child of a `compound` state. */
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
  /**
   * The type of the event; `always` without one, `after 5000` for a delay, `done(child)` and `error(child)` for an
   * invoked actor.
   */
  readonly event: string
  /** Empty for a transition that only runs actions. */
  readonly targets: readonly string[]
  /** As written: `isLive`, `not(isLive)`, `and(isLive, isWhole)`. */
  readonly guard?: string
  readonly actions: readonly string[]
  readonly description?: string
}
