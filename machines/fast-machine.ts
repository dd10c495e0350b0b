import type {
  ActorRefFrom,
  ActorScope,
  AnyActorRef,
  AnyEventObject,
  AnyMachineSnapshot,
  AnyStateMachine,
  AnyStateNode,
  EventFrom,
  InputFrom,
  MachineContext,
  SnapshotFrom,
  StateValue,
} from 'xstate'
import { ChartTable, type Place, type Selection } from './chart-table.js'
import { assigned, isAssign, noSpawn, nodesWithin, type Step } from './chart-steps.js'

type AnyActorScope = ActorScope<AnyMachineSnapshot, AnyEventObject>

/** A machine for many actors, with the table in which its transitions are looked up. */
export interface FastMachine<Machine extends AnyStateMachine> {
  /** Behaves like the chart. It is the chart itself if that is not flat. */
  readonly machine: Machine
  /** The table of the chart, also for rows without an actor. */
  readonly table: ChartTable<Machine>
  /** The effect of the event on an actor in this place, usually its snapshot. Throws what a guard throws. */
  readonly decide: (place: Place<Machine>, event: EventFrom<Machine>) => Selection
  /**
   * Sends an event with a decided selection. The actor follows the selection without evaluating guards again; only a
   * transition that is left to the machine, or that has to wait for another one, is selected anew.
   */
  readonly follow: (actor: ActorRefFrom<Machine>, event: EventFrom<Machine>, selection: Selection) => void
  /** The initial place, for a row. The context factory gets no actor and cannot spawn. */
  initialPlace(input: InputFrom<Machine>): Place<Machine>
  /** The snapshot of an actor in this place. */
  snapshotOf(place: Place<Machine>, self?: AnyActorRef): SnapshotFrom<Machine>
  /** The output of the chart for a final place. */
  outputOf(place: Place<Machine>, self?: AnyActorRef): unknown
}

/** A selection on its way to the actor that will follow it. */
interface Following {
  event: AnyEventObject | undefined
  selection: Selection | undefined
}

/**
 * Runs the transitions of a flat chart by a shortcut, using its {@link ChartTable}.
 *
 * The machine's own guards and actions run, in the order of its own candidates. What is skipped is the general SCXML
 * macrostep, which costs several times as much as the guards and allocates most of the garbage of a busy registry.
 * Only states without children, entry, exit, `always`, `after` and `invoke` qualify, and only transitions whose
 * actions are functions or `assign`; everything else is run by the machine itself. A differential test compares both.
 * There are two differences: inspectors do not see single microsteps, and an assigner that spawns breaks the actor.
 */
export function fastMachine<Machine extends AnyStateMachine>(chart: Machine): FastMachine<Machine> {
  const table = new ChartTable<AnyStateMachine>(chart)
  const following: Following = { event: undefined, selection: undefined }
  let initialValue: StateValue | undefined
  const machine = isFlat(chart) ? (Object.create(chart) as AnyStateMachine) : chart
  const templates = new Templates(chart, machine)
  if (machine !== chart) shorten(machine, chart, table, templates, following)
  return {
    machine,
    table,
    decide: (place: Place<AnyStateMachine>, event: AnyEventObject) => table.select(place, event),
    follow(actor: AnyActorRef, event: AnyEventObject, selection: Selection) {
      following.event = event
      following.selection = selection
      try {
        actor.send(event)
      } finally {
        following.event = undefined
        following.selection = undefined
      }
    },
    initialPlace(input: unknown) {
      const { context } = chart.config as { context?: unknown }
      const made: unknown =
        typeof context === 'function' ? context({ input, self: undefined, spawn: noSpawn }) : context
      initialValue ??= chart.resolveState({ value: {}, context: {} }).value as StateValue
      return { value: initialValue, context: made }
    },
    snapshotOf({ value, context }: Place<AnyStateMachine>, self?: AnyActorRef) {
      const node = typeof value === 'string' ? chart.root.states[value] : undefined
      const snapshot = node === undefined ? machine.resolveState({ value, context }) : templates.of(node)
      const shown = { ...snapshot, context, children: {}, historyValue: {} }
      if (node?.type !== 'final') return shown
      return { ...shown, status: 'done', output: outputOf(chart, context, node, self) }
    },
    outputOf({ value, context }: Place<AnyStateMachine>, self?: AnyActorRef) {
      const node = chart.root.states[value as string]
      return node === undefined ? undefined : outputOf(chart, context, node, self)
    },
  } as unknown as FastMachine<Machine>
}

/** The common parts of the snapshots of one state, created once per state. */
class Templates {
  readonly #chart: AnyStateMachine
  /** The machine that the snapshots refer to. */
  readonly #machine: AnyStateMachine
  readonly #made = new Map<AnyStateNode, AnyMachineSnapshot>()

  constructor(chart: AnyStateMachine, machine: AnyStateMachine) {
    this.#chart = chart
    this.#machine = machine
  }

  of(node: AnyStateNode): AnyMachineSnapshot {
    let template = this.#made.get(node)
    if (template === undefined) {
      const { key: value } = node
      template = { ...this.#chart.resolveState({ value, context: {} }), machine: this.#machine } as AnyMachineSnapshot
      this.#made.set(node, template)
    }
    return template
  }
}

/** Gives `fast`, which inherits from the machine, its faster methods. */
function shorten(
  fast: AnyStateMachine,
  machine: AnyStateMachine,
  table: ChartTable<AnyStateMachine>,
  templates: Templates,
  following: Following,
): void {
  const { context: makeContext } = machine.config as { context?: unknown }
  const [initialNode] = machine.root.initial.target
  if (
    typeof makeContext === 'function' &&
    initialNode?.type === 'atomic' &&
    machine.root.initial.actions.length === 0
  ) {
    const initial = { ...templates.of(initialNode), children: {}, historyValue: {} }
    fast.getInitialSnapshot = (scope: AnyActorScope, input: unknown) => {
      try {
        return { ...initial, context: { ...makeContext({ input, self: scope.self, spawn: noSpawn }) } }
      } catch {
        // The factory throws, or spawns. The machine reports the one and supports the other.
        return machine.getInitialSnapshot(scope as never, input)
      }
    }
  }
  const decided = (event: AnyEventObject): Selection | undefined => {
    if (following.event !== event) return undefined
    following.event = undefined
    return following.selection
  }
  fast.getTransitionData = ((snapshot: AnyMachineSnapshot, event: AnyEventObject) => {
    const selection = table.trySelect(snapshot as never, event)
    if (selection === undefined) return machine.getTransitionData(snapshot as never, event)
    return selection.steps.map(({ transition }) => transition)
  }) as AnyStateMachine['getTransitionData']
  fast.transition = ((snapshot: AnyMachineSnapshot, event: AnyEventObject, scope: AnyActorScope) => {
    if (snapshot.status !== 'active' || isReserved(event)) return machine.transition(snapshot, event, scope as never)
    const selection = decided(event) ?? table.trySelect(snapshot as never, event)
    if (selection === undefined) return machine.transition(snapshot, event, scope as never)
    const [step] = selection.steps
    if (step === undefined) return snapshot
    if (!isShort(step, snapshot)) return machine.transition(snapshot, event, scope as never)
    const { actions, target } = step
    const context = actions.length === 0 ? snapshot.context : runActions(actions, snapshot.context, event, scope)
    if (target === undefined) return context === snapshot.context ? snapshot : { ...snapshot, context }
    const { children, historyValue } = snapshot
    const next = { ...templates.of(target), children, historyValue, context }
    if (target.type !== 'final') return next
    return { ...next, status: 'done', output: outputOf(machine, context, target, scope.self) }
  }) as unknown as AnyStateMachine['transition']
}

/** Whether only the actions and the target matter. If the target is final, the machine has to stop the children. */
function isShort({ isPlain, target }: Step, { children }: AnyMachineSnapshot): boolean {
  return isPlain && !(target?.type === 'final' && Object.keys(children).length > 0)
}

/** Events that the machine handles specially, whatever its transitions say. */
function isReserved({ type }: AnyEventObject): boolean {
  return type === 'xstate.stop' || type === 'xstate.init' || type === '*' || type.startsWith('xstate.error.')
}

function isFlat({ root }: AnyStateMachine): boolean {
  return [...nodesWithin(root)].every(
    (node) =>
      (node === root || Object.keys(node.states).length === 0) &&
      node.type !== 'parallel' &&
      node.type !== 'history' &&
      node.entry.length === 0 &&
      node.exit.length === 0 &&
      node.always === undefined &&
      node.after.length === 0 &&
      node.invoke.length === 0 &&
      (node === root || node.output === undefined),
  )
}

function runActions(
  actions: Step['actions'],
  initial: MachineContext,
  event: AnyEventObject,
  scope: AnyActorScope,
): MachineContext {
  let context = initial
  for (const { type, run, params } of actions) {
    const info = { context, event, self: scope.self, system: scope.system }
    if (isAssign(run)) context = assigned(run, info, params)
    else scope.actionExecutor({ type, info, params, exec: run as never })
  }
  return context
}

function outputOf(
  { root }: AnyStateMachine,
  context: MachineContext,
  { id }: AnyStateNode,
  self: AnyActorRef | undefined,
): unknown {
  const output: unknown = root.output
  if (typeof output !== 'function') return output
  return output({ context, event: { type: `xstate.done.state.${id}`, output: undefined }, self })
}
