import type {
  ActorScope,
  AnyEventObject,
  AnyMachineSnapshot,
  AnyStateMachine,
  AnyStateNode,
  MachineContext,
} from 'xstate'

type AnyActorScope = ActorScope<AnyMachineSnapshot, AnyEventObject>
type ActionArguments = { context: MachineContext; event: AnyEventObject; self: unknown; system: unknown }
type AssignArguments = ActionArguments & { spawn: () => never }
type CustomAction = (args: ActionArguments, params: unknown) => void
type Assigner = (args: AssignArguments, params: unknown) => unknown
type AssignAction = CustomAction & { type: 'xstate.assign'; assignment: Assigner | Record<string, unknown> }
type ReferencedAction = string | { type: string; params?: unknown } | CustomAction

/**
 * The same machine with a shorter way through its transitions, for charts that are flat.
 *
 * The guards still decide through `getTransitionData`; what is skipped is the general SCXML macrostep,
 * which costs several times the guards and allocates most of the garbage of a busy registry. Only
 * states without children, entry, exit, `always`, `after` and `invoke` qualify, and only transitions
 * whose actions are functions or `assign`; everything else goes to the machine itself. A machine that
 * does not qualify is returned unchanged. Held equal to the machine by a differential test, but for two
 * things: an inspector is not shown single microsteps, and an assigner that spawns breaks the actor.
 */
export function precompiled<Machine extends AnyStateMachine>(machine: Machine): Machine {
  if (!isFlat(machine)) return machine
  const templates = new Map<string, AnyMachineSnapshot>()
  const templateOf = (node: AnyStateNode): AnyMachineSnapshot => {
    let template = templates.get(node.key)
    if (template === undefined) {
      template = machine.resolveState({ value: node.key, context: {} }) as AnyMachineSnapshot
      templates.set(node.key, template)
    }
    return template
  }
  const fast = Object.create(machine) as Machine
  const { context: makeContext } = machine.config as { context?: unknown }
  const [initialNode] = machine.root.initial.target
  if (
    typeof makeContext === 'function' &&
    initialNode?.type === 'atomic' &&
    machine.root.initial.actions.length === 0
  ) {
    const initial = enter(fast, templateOf(initialNode), { children: {}, historyValue: {} } as AnyMachineSnapshot)
    fast.getInitialSnapshot = (scope: AnyActorScope, input: unknown) => {
      try {
        return { ...initial, context: { ...makeContext({ input, self: scope.self, spawn: noSpawn }) } }
      } catch {
        // A factory that breaks, or that spawns: the machine reports the one and does the other.
        return machine.getInitialSnapshot(scope as never, input)
      }
    }
  }
  fast.transition = ((snapshot: AnyMachineSnapshot, event: AnyEventObject, scope: AnyActorScope) => {
    if (snapshot.status !== 'active' || isReserved(event)) return machine.transition(snapshot, event, scope as never)
    const [transition, ...others] = machine.getTransitionData(snapshot as never, event)
    if (transition === undefined) return snapshot
    const actions = resolveActions(machine, transition.actions as readonly ReferencedAction[])
    const target = transition.target?.[0]
    const isFinal = target?.type === 'final'
    const leavesChildren = isFinal && Object.keys(snapshot.children).length > 0
    if (actions === undefined || others.length > 0 || transition.reenter || target === machine.root || leavesChildren) {
      return machine.transition(snapshot, event, scope as never)
    }
    const moved = target === undefined ? snapshot : enter(fast, templateOf(target), snapshot)
    const context = runActions(actions, snapshot.context, event, scope)
    if (moved === snapshot && context === snapshot.context) return snapshot
    const next = { ...moved, context }
    return isFinal ? { ...next, status: 'done', output: resolveOutput(machine, context, target, scope) } : next
  }) as unknown as Machine['transition']
  return fast
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

interface ResolvedAction {
  readonly type: string
  readonly run: CustomAction | AssignAction
  readonly params: unknown
}

function resolveActions(machine: AnyStateMachine, actions: readonly ReferencedAction[]): ResolvedAction[] | undefined {
  const resolved: ResolvedAction[] = []
  for (const action of actions) {
    const type =
      typeof action === 'function' ? action.name || '(anonymous)' : typeof action === 'string' ? action : action.type
    const run = (typeof action === 'function' ? action : machine.implementations.actions[type]) as
      | CustomAction
      | undefined
    const params = typeof action === 'object' ? action.params : undefined
    const isBuiltIn = run !== undefined && 'resolve' in run
    if (run === undefined || typeof params === 'function' || (isBuiltIn && !isAssign(run))) return undefined
    resolved.push({ type, run, params })
  }
  return resolved
}

function isAssign(action: CustomAction): action is AssignAction {
  return (action as Partial<AssignAction>).type === 'xstate.assign'
}

function runActions(
  actions: readonly ResolvedAction[],
  initial: MachineContext,
  event: AnyEventObject,
  scope: AnyActorScope,
): MachineContext {
  let context = initial
  for (const { type, run, params } of actions) {
    const info = { context, event, self: scope.self, system: scope.system }
    if (isAssign(run)) context = assigned(run, { ...info, spawn: noSpawn }, params)
    else scope.actionExecutor({ type, info, params, exec: run })
  }
  return context
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

function enter(machine: AnyStateMachine, template: AnyMachineSnapshot, from: AnyMachineSnapshot): AnyMachineSnapshot {
  return { ...template, machine, children: from.children, historyValue: from.historyValue } as AnyMachineSnapshot
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
