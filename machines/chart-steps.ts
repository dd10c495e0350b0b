import type {
  AnyEventObject,
  AnyStateMachine,
  AnyStateNode,
  AnyTransitionDefinition,
  MachineContext,
  StateValue,
} from 'xstate'
import { readGuard, type GuardTree } from './guard-tree.js'

/** A function of the chart that is called for its effect. */
export type CustomAction = (args: never, params: unknown) => void

/** An action of a transition, with its name resolved. */
export interface StepAction {
  readonly type: string
  readonly run: CustomAction | AssignAction
  readonly params: unknown
}

/** The argument of an action or an assigner. */
export interface ActionArguments {
  readonly context: MachineContext
  readonly event: AnyEventObject
  readonly self?: unknown
  readonly system?: unknown
}

type Assigner = (args: ActionArguments & { readonly spawn: () => never }, params: unknown) => unknown
type AssignAction = CustomAction & {
  readonly type: 'xstate.assign'
  readonly assignment: Assigner | Readonly<Record<string, unknown>>
}

/** One transition of a chart, with its guard and actions resolved. */
export interface Step {
  readonly transition: AnyTransitionDefinition
  readonly guard: GuardTree | undefined
  /** False if only the machine can evaluate the guard. */
  readonly isReadable: boolean
  readonly actions: readonly StepAction[]
  readonly target: AnyStateNode | undefined
  /** True for a transition without target and actions. Its meta says why the event is refused. */
  readonly isRefusal: boolean
  /** Whether the step consists only of assignments, function calls and a change to the target. */
  readonly isPlain: boolean
  /** The compound state within which the step changes from one state to another. */
  readonly domain: AnyStateNode
}

/** The transitions of a machine as {@link Step}s, each created once. */
export class ChartSteps {
  readonly #machine: AnyStateMachine
  readonly #isPlain: boolean
  readonly #made = new Map<AnyTransitionDefinition, Step>()

  constructor(machine: AnyStateMachine) {
    this.#machine = machine
    this.#isPlain = isPlainChart(machine)
  }

  /**
   * The candidates of a node for an event type, in order of priority; `undefined` if only the machine can judge one
   * of them.
   */
  listening(node: AnyStateNode, type: string): readonly Step[] | undefined {
    const wildcards = [...node.transitions.keys()].filter((one) => one !== type && covers(one, type))
    const descriptors = [type, ...wildcards.sort((one, other) => other.length - one.length)]
    return this.#all(descriptors.flatMap((one) => node.transitions.get(one) ?? []))
  }

  /** The eventless candidates of a node; `undefined` if only the machine can judge one of them. */
  eventless({ always = [] }: AnyStateNode): readonly Step[] | undefined {
    return this.#all(always)
  }

  /** The step of a transition. */
  of(transition: AnyTransitionDefinition): Step {
    let step = this.#made.get(transition)
    if (step === undefined) this.#made.set(transition, (step = this.#read(transition)))
    return step
  }

  #all(transitions: readonly AnyTransitionDefinition[]): readonly Step[] | undefined {
    const steps = transitions.map((transition) => this.of(transition))
    return steps.every(({ isReadable }) => isReadable) ? steps : undefined
  }

  #read(transition: AnyTransitionDefinition): Step {
    const { guard: held, target: targets = [], source, reenter } = transition
    const guard = held === undefined ? undefined : readGuard(this.#machine, held)
    const actions = transition.actions.map((action) => readAction(this.#machine, action))
    const [target] = targets as readonly AnyStateNode[]
    return {
      transition,
      guard,
      isReadable: held === undefined || guard !== undefined,
      actions: actions.filter((action) => action !== undefined),
      target,
      isRefusal: target === undefined && actions.length === 0,
      isPlain:
        this.#isPlain &&
        !reenter &&
        targets.length <= 1 &&
        target !== this.#machine.root &&
        actions.every((action) => action !== undefined),
      domain: domainOf(source as AnyStateNode, target),
    }
  }
}

/**
 * The states after a plain step, as far as the step names them. The machine resolves the initial states of the rest.
 */
export function valueAfter(value: StateValue, { domain, target }: Step): StateValue {
  if (target === undefined || (target === domain && Object.keys(target.states).length === 0)) return value
  return replaced(value, domain.path, within(target.path.slice(domain.path.length)))
}

/** True if one step leaves states that the other one leaves or enters as well. */
export function overlap(one: Step, other: Step): boolean {
  return isWithin(one.domain, other.domain) || isWithin(other.domain, one.domain)
}

/** True for an action that creates a new context. */
export function isAssign(action: StepAction['run']): action is AssignAction {
  return (action as Partial<AssignAction>).type === 'xstate.assign'
}

/** The context that an assigner creates from another. */
export function assigned({ assignment }: AssignAction, args: ActionArguments, params: unknown): MachineContext {
  const { context: before, event, self, system } = args
  const info = { context: before, event, self, system, spawn: noSpawn }
  if (typeof assignment === 'function') return { ...before, ...(assignment(info, params) as object) }
  const context = { ...before }
  for (const key in assignment) {
    const value = assignment[key]
    context[key] = typeof value === 'function' ? (value as Assigner)(info, params) : value
  }
  return context
}

/** Throws a `TypeError`: a child spawned by an assigner would be lost. */
export function noSpawn(): never {
  throw new TypeError('a chart table cannot spawn from an assigner: use spawnChild')
}

/**
 * Whether steps of this chart have no other effects: there are no entry or exit actions, delays, done transitions or
 * history states.
 */
function isPlainChart({ root }: AnyStateMachine): boolean {
  const nodes = [...nodesWithin(root)]
  const endsWithin = nodes.some((node) => node.type === 'final' && node.parent !== root)
  const hearsEnds = nodes.some(({ transitions }) => [...transitions.keys()].some(meansAnEnd))
  return (
    !(endsWithin && hearsEnds) &&
    nodes.every(
      (node) =>
        node.type !== 'history' &&
        node.entry.length === 0 &&
        node.exit.length === 0 &&
        node.after.length === 0 &&
        node.invoke.length === 0 &&
        (node === root || (node.output === undefined && node.initial.actions.length === 0)),
    )
  )
}

/** The node and all its descendants. */
export function* nodesWithin(node: AnyStateNode): Iterable<AnyStateNode> {
  yield node
  for (const child of Object.values(node.states)) yield* nodesWithin(child)
}

/** Whether a descriptor such as `a.b.*` or `*` matches the event type. */
function covers(descriptor: string, type: string): boolean {
  if (descriptor === '*') return true
  if (!descriptor.endsWith('.*')) return false
  const prefix = descriptor.slice(0, -'.*'.length)
  return !prefix.includes('*') && (type === prefix || type.startsWith(`${prefix}.`))
}

/** Whether a descriptor matches the done event of some part of the chart. */
function meansAnEnd(descriptor: string): boolean {
  return descriptor.startsWith('xstate.done.state.') || covers(descriptor, 'xstate.done.state')
}

function domainOf(source: AnyStateNode, target: AnyStateNode | undefined): AnyStateNode {
  if (target === undefined || isWithin(target, source)) return source
  let ancestor = target.parent
  while (ancestor !== undefined && (ancestor === source || !isWithin(source, ancestor))) ancestor = ancestor.parent
  return ancestor ?? source.machine.root
}

function isWithin(node: AnyStateNode, ancestor: AnyStateNode): boolean {
  return ancestor.path.length <= node.path.length && ancestor.path.every((key, depth) => node.path[depth] === key)
}

function replaced(value: StateValue, [key, ...rest]: readonly string[], part: StateValue): StateValue {
  if (key === undefined) return part
  if (typeof value === 'string') return { [key]: part }
  return { ...value, [key]: replaced(value[key] ?? {}, rest, part) }
}

function within([key, ...rest]: readonly string[]): StateValue {
  if (key === undefined) return {}
  return rest.length === 0 ? key : { [key]: within(rest) }
}

/** The function that a reference names; `undefined` if it is missing, built in, or has computed parameters. */
function readAction(machine: AnyStateMachine, reference: unknown): StepAction | undefined {
  const action = lookUp(machine.implementations.actions, reference)
  if (action === undefined || ('resolve' in action.run && !isAssign(action.run))) return undefined
  return action
}

function lookUp(implementations: Record<string, unknown>, reference: unknown): StepAction | undefined {
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
