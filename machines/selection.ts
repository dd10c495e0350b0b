import type {
  ActorScope,
  AnyEventObject,
  AnyMachineSnapshot,
  AnyStateMachine,
  AnyStateNode,
  AnyTransitionDefinition,
  MachineContext,
} from 'xstate'

/** What a chart's transition runs in. */
export type AnyActorScope = ActorScope<AnyMachineSnapshot, AnyEventObject>

/** A function of the chart that is run for its effect. */
export type CustomAction = (args: never, params: unknown) => void

type Guard = (args: { context: MachineContext; event: AnyEventObject }, params: unknown) => boolean

/** One candidate of a state for one event, with its names looked up. */
export interface Step {
  readonly transition: AnyTransitionDefinition
  readonly guard: Guard | undefined
  readonly guardParams: unknown
  readonly actions: readonly { readonly type: string; readonly run: CustomAction; readonly params: unknown }[]
  readonly target: AnyStateNode | undefined
  readonly isFinal: boolean
  /** Whether running the actions and moving to the target is all there is to it. */
  readonly isPlain: boolean
}

/** The step that is taken, `none` where the chart ignores the event, `unknown` where only the machine can tell. */
export type Selected = Step | 'none' | 'unknown'

/**
 * Selects transitions of a flat chart as the machine does: the candidates of the state, then those of
 * the root, the first whose guard passes. Candidates are looked up once per state and event type; event
 * types are few, because no id is ever part of one.
 */
export function createSelection(
  machine: AnyStateMachine,
): (snapshot: AnyMachineSnapshot, event: AnyEventObject) => Selected {
  const { root } = machine
  const known = new Map<AnyStateNode, Map<string, readonly Step[] | undefined>>()
  const stepsOf = (node: AnyStateNode, type: string): readonly Step[] | undefined => {
    let byType = known.get(node)
    if (byType === undefined) known.set(node, (byType = new Map()))
    let steps = byType.get(type)
    if (steps === undefined && !byType.has(type)) byType.set(type, (steps = compile(machine, node, type)))
    return steps
  }
  return (snapshot, event) => {
    const node = root.states[snapshot.value as string]
    if (node === undefined) return 'unknown'
    try {
      const selected = firstOpen(stepsOf(node, event.type), snapshot.context, event)
      return selected === 'none' ? firstOpen(stepsOf(root, event.type), snapshot.context, event) : selected
    } catch {
      // A guard broke: the machine says so in its own words.
      return 'unknown'
    }
  }
}

function firstOpen(steps: readonly Step[] | undefined, context: MachineContext, event: AnyEventObject): Selected {
  if (steps === undefined) return 'unknown'
  for (const step of steps) {
    if (step.guard === undefined || step.guard({ context, event }, step.guardParams)) return step
  }
  return 'none'
}

/** The candidates of a state for an event type; nothing when one of them has a guard that only the machine can evaluate. */
function compile(machine: AnyStateMachine, node: AnyStateNode, type: string): readonly Step[] | undefined {
  const wildcards = [...node.transitions.keys()].filter((descriptor) => descriptor !== type && covers(descriptor, type))
  const descriptors = [type, ...wildcards.sort((one, other) => other.length - one.length)]
  const steps: Step[] = []
  for (const transition of descriptors.flatMap((descriptor) => node.transitions.get(descriptor) ?? [])) {
    const step = compileStep(machine, transition as AnyTransitionDefinition)
    if (step === undefined) return undefined
    steps.push(step)
  }
  return steps
}

/** Whether `a.b.*` or `*` stands for the event type. */
function covers(descriptor: string, type: string): boolean {
  if (descriptor === '*') return true
  if (!descriptor.endsWith('.*')) return false
  const prefix = descriptor.slice(0, -'.*'.length)
  return !prefix.includes('*') && (type === prefix || type.startsWith(`${prefix}.`))
}

function compileStep(machine: AnyStateMachine, transition: AnyTransitionDefinition): Step | undefined {
  const guard = lookUp(machine.implementations.guards, transition.guard)
  if (transition.guard !== undefined && (guard === undefined || 'check' in guard.run)) return undefined
  const actions: { type: string; run: CustomAction; params: unknown }[] = []
  let isPlain = !transition.reenter && transition.target?.[0] !== machine.root
  for (const reference of transition.actions) {
    const action = lookUp(machine.implementations.actions, reference)
    if (
      action === undefined ||
      ('resolve' in action.run && (action.run as { type?: string }).type !== 'xstate.assign')
    ) {
      isPlain = false
    } else actions.push(action)
  }
  const target = transition.target?.[0] as AnyStateNode | undefined
  return {
    transition,
    guard: guard?.run as Guard | undefined,
    guardParams: guard?.params,
    actions,
    target,
    isFinal: target?.type === 'final',
    isPlain,
  }
}

/** The function a reference names; nothing when it is missing, composed, or takes parameters that are computed. */
function lookUp(
  implementations: Record<string, unknown>,
  reference: unknown,
): { type: string; run: CustomAction; params: unknown } | undefined {
  if (typeof reference === 'function') {
    return { type: reference.name || '(anonymous)', run: reference as CustomAction, params: undefined }
  }
  const { type, params } = (typeof reference === 'string' ? { type: reference } : (reference ?? {})) as {
    type?: string
    params?: unknown
  }
  const run = type === undefined ? undefined : implementations[type]
  if (type === undefined || typeof run !== 'function' || typeof params === 'function') return undefined
  return { type, run: run as CustomAction, params }
}
