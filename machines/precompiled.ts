import type { AnyEventObject, AnyMachineSnapshot, AnyStateMachine, AnyStateNode, MachineContext } from 'xstate'
import { createSelection, type AnyActorScope, type CustomAction, type Selected, type Step } from './selection.js'

type Assigner = (args: AssignArguments, params: unknown) => unknown
type ActionArguments = { context: MachineContext; event: AnyEventObject; self: unknown; system: unknown }
type AssignArguments = ActionArguments & { spawn: () => never }
type AssignAction = CustomAction & { type: 'xstate.assign'; assignment: Assigner | Record<string, unknown> }

/**
 * The same machine with a shorter way through its transitions, for charts that are flat.
 *
 * Its own guards and actions run, in the order of its own candidates; what is skipped is the general
 * SCXML macrostep, which costs several times the guards and allocates most of the garbage of a busy
 * registry. Only states without children, entry, exit, `always`, `after` and `invoke` qualify, and only
 * transitions whose guards are functions and whose actions are functions or `assign`; everything else goes
 * to the machine itself. A machine that does not qualify is returned unchanged. Held equal to the machine
 * by a differential test, but for two things: an inspector is not shown single microsteps, and an assigner
 * that spawns breaks the actor.
 */
export function precompiled<Machine extends AnyStateMachine>(machine: Machine): Machine {
  if (!isFlat(machine)) return machine
  const fast = Object.create(machine) as Machine
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
  const select = createSelection(machine)
  fast.getTransitionData = ((snapshot: AnyMachineSnapshot, event: AnyEventObject) => {
    const selected = select(snapshot, event)
    if (selected === 'unknown') return machine.getTransitionData(snapshot as never, event)
    return selected === 'none' ? [] : [selected.transition]
  }) as Machine['getTransitionData']
  fast.transition = ((snapshot: AnyMachineSnapshot, event: AnyEventObject, scope: AnyActorScope) => {
    const selected: Selected = snapshot.status !== 'active' || isReserved(event) ? 'unknown' : select(snapshot, event)
    if (selected === 'none') return snapshot
    if (selected === 'unknown' || !isShort(selected, snapshot)) {
      return machine.transition(snapshot, event, scope as never)
    }
    const { actions, target, isFinal } = selected
    const context = actions.length === 0 ? snapshot.context : runActions(actions, snapshot.context, event, scope)
    if (target === undefined) return context === snapshot.context ? snapshot : { ...snapshot, context }
    const { children, historyValue } = snapshot
    const next = { ...templateOf(target), children, historyValue, context }
    return isFinal ? { ...next, status: 'done', output: resolveOutput(machine, context, target, scope) } : next
  }) as unknown as Machine['transition']
  return fast
}

/** Whether nothing but the actions and the target matters: the machine has to stop children that a final state leaves. */
function isShort({ isPlain, isFinal }: Step, { children }: AnyMachineSnapshot): boolean {
  return isPlain && !(isFinal && Object.keys(children).length > 0)
}

function noSpawn(): never {
  throw new TypeError('a precompiled machine cannot spawn from an assigner: use spawnChild')
}

/** Events that the machine treats in its own way, whatever its transitions say. */
function isReserved({ type }: AnyEventObject): boolean {
  return type === 'xstate.stop' || type === 'xstate.init' || type === '*' || type.startsWith('xstate.error.')
}

function isFlat({ root }: AnyStateMachine): boolean {
  const nodes = [root, ...Object.values(root.states)]
  return nodes.every(
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
    if (isAssign(run)) context = assigned(run, { ...info, spawn: noSpawn }, params)
    else scope.actionExecutor({ type, info, params, exec: run as never })
  }
  return context
}

function isAssign(action: CustomAction): action is AssignAction {
  return (action as Partial<AssignAction>).type === 'xstate.assign'
}

function assigned({ assignment }: AssignAction, info: AssignArguments, params: unknown): MachineContext {
  if (typeof assignment === 'function') return { ...info.context, ...(assignment(info, params) as object) }
  const context = { ...info.context }
  for (const key of Object.keys(assignment)) {
    const value = assignment[key]
    context[key] = typeof value === 'function' ? (value as Assigner)(info, params) : value
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
