import type {
  ActorScope,
  AnyEventObject,
  AnyMachineSnapshot,
  AnyStateMachine,
  AnyStateNode,
  EventFrom,
  MachineContext,
} from 'xstate'
import { ChartTable, type Place, type Selection } from './chart-table.js'
import { assigned, isAssign, noSpawn, nodesWithin, type Step } from './chart-steps.js'

type AnyActorScope = ActorScope<AnyMachineSnapshot, AnyEventObject>

/** A machine for many actors, with the table its transitions are looked up in. */
export interface FastMachine<Machine extends AnyStateMachine> {
  /** Runs like the chart; the chart itself when that is not flat. */
  readonly machine: Machine
  /** Of the chart; rows that stand where an actor would can be asked about here. */
  readonly table: ChartTable<Machine>
  /**
   * What the event does to an actor in this place, its snapshot as a rule. The answer is kept with the event object: an actor that is sent
   * this very object follows it, whenever that is, and asks no guard a second time (a transition that is left to the machine
   * is selected anew). Raises what a guard throws.
   */
  readonly decide: (place: Place<Machine>, event: EventFrom<Machine>) => Selection
}

/**
 * A shorter way through the transitions of a chart that is flat, on top of its {@link ChartTable}.
 *
 * The machine's own guards and actions run, in the order of its own candidates; what is skipped is the general SCXML
 * macrostep, which costs several times the guards and allocates most of the garbage of a busy registry. Only states
 * without children, entry, exit, `always`, `after` and `invoke` qualify, and only transitions whose actions are functions
 * or `assign`; everything else goes to the machine itself. Held equal to the machine by a differential test, but for two
 * things: an inspector is not shown single microsteps, and an assigner that spawns breaks the actor.
 */
export function fastMachine<Machine extends AnyStateMachine>(machine: Machine): FastMachine<Machine> {
  const table = new ChartTable<AnyStateMachine>(machine)
  const kept = new WeakMap<AnyEventObject, Selection>()
  const decide = (place: Place<AnyStateMachine>, event: AnyEventObject): Selection => {
    const selection = table.select(place, event)
    kept.set(event, selection)
    return selection
  }
  const isFast = isFlat(machine)
  return {
    machine: isFast ? shortened(machine, table, kept) : machine,
    table,
    decide,
  } as unknown as FastMachine<Machine>
}

function shortened(
  machine: AnyStateMachine,
  table: ChartTable<AnyStateMachine>,
  kept: WeakMap<AnyEventObject, Selection>,
): AnyStateMachine {
  const fast = Object.create(machine) as AnyStateMachine
  const templates = new Map<AnyStateNode, AnyMachineSnapshot>()
  const templateOf = (node: AnyStateNode): AnyMachineSnapshot => {
    let template = templates.get(node)
    if (template === undefined) {
      template = { ...machine.resolveState({ value: node.key, context: {} }), machine: fast } as AnyMachineSnapshot
      templates.set(node, template)
    }
    return template
  }
  const { context: makeContext } = machine.config as { context?: unknown }
  const [initialNode] = machine.root.initial.target
  if (
    typeof makeContext === 'function' &&
    initialNode?.type === 'atomic' &&
    machine.root.initial.actions.length === 0
  ) {
    const initial = { ...templateOf(initialNode), children: {}, historyValue: {} }
    fast.getInitialSnapshot = (scope: AnyActorScope, input: unknown) => {
      try {
        return { ...initial, context: { ...makeContext({ input, self: scope.self, spawn: noSpawn }) } }
      } catch {
        // A factory that breaks, or that spawns: the machine reports the one and does the other.
        return machine.getInitialSnapshot(scope as never, input)
      }
    }
  }
  const takeKept = (event: AnyEventObject): Selection | undefined => {
    const selection = kept.get(event)
    if (selection !== undefined) kept.delete(event)
    return selection
  }
  fast.getTransitionData = ((snapshot: AnyMachineSnapshot, event: AnyEventObject) => {
    const selection = table.trySelect(snapshot as never, event)
    if (selection === undefined) return machine.getTransitionData(snapshot as never, event)
    return selection.steps.map(({ transition }) => transition)
  }) as AnyStateMachine['getTransitionData']
  fast.transition = ((snapshot: AnyMachineSnapshot, event: AnyEventObject, scope: AnyActorScope) => {
    if (snapshot.status !== 'active' || isReserved(event)) return machine.transition(snapshot, event, scope as never)
    const selection = takeKept(event) ?? table.trySelect(snapshot as never, event)
    if (selection === undefined) return machine.transition(snapshot, event, scope as never)
    const [step] = selection.steps
    if (step === undefined) return snapshot
    if (!isShort(step, snapshot)) return machine.transition(snapshot, event, scope as never)
    const { actions, target } = step
    const context = actions.length === 0 ? snapshot.context : runActions(actions, snapshot.context, event, scope)
    if (target === undefined) return context === snapshot.context ? snapshot : { ...snapshot, context }
    const { children, historyValue } = snapshot
    const next = { ...templateOf(target), children, historyValue, context }
    if (target.type !== 'final') return next
    return { ...next, status: 'done', output: resolveOutput(machine, context, target, scope) }
  }) as unknown as AnyStateMachine['transition']
  return fast
}

/** Whether nothing but the actions and the target matters: the machine has to stop children that a final state leaves. */
function isShort({ isPlain, target }: Step, { children }: AnyMachineSnapshot): boolean {
  return isPlain && !(target?.type === 'final' && Object.keys(children).length > 0)
}

/** Events that the machine treats in its own way, whatever its transitions say. */
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

function resolveOutput(
  { root }: AnyStateMachine,
  context: MachineContext,
  { id }: AnyStateNode,
  scope: AnyActorScope,
): unknown {
  const output: unknown = root.output
  if (typeof output !== 'function') return output
  return output({ context, event: { type: `xstate.done.state.${id}`, output: undefined }, self: scope.self })
}
