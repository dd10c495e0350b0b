import type {
  AnyEventObject,
  AnyStateMachine,
  AnyStateNode,
  AnyTransitionDefinition,
  MachineContext,
  StateValue,
} from 'xstate'
import { readGuard, type GuardTree } from './guard-tree.js'

/** A function of the chart that is run for its effect. */
export type CustomAction = (args: never, params: unknown) => void

/** An action of a transition, its name looked up. */
export interface StepAction {
  readonly type: string
  readonly run: CustomAction | AssignAction
  readonly params: unknown
}

/** What an action or an assigner is called with. */
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

/** One transition of a chart, read once. */
export interface Step {
  readonly transition: AnyTransitionDefinition
  readonly guard: GuardTree | undefined
  /** False when only the machine can evaluate the guard. */
  readonly isReadable: boolean
  readonly actions: readonly StepAction[]
  readonly target: AnyStateNode | undefined
  /** True for a transition that neither moves nor acts: it says why the event is refused. */
  readonly isRefusal: boolean
  /** Whether assigning, running functions and moving to the target is all there is to it. */
  readonly isPlain: boolean
  /** The state that is left for another one within it. */
  readonly domain: AnyStateNode
}

/** The transitions of a machine as {@link Step}s, each made once. */
export class ChartSteps {
  readonly #machine: AnyStateMachine
  readonly #isPlain: boolean
  readonly #made = new Map<AnyTransitionDefinition, Step>()

  constructor(machine: AnyStateMachine) {
    this.#machine = machine
    this.#isPlain = isPlainChart(machine)
  }

  /** The candidates of a node for an event type, in the order in which they compete; `undefined` when only the machine can judge one. */
  listening(node: AnyStateNode, type: string): readonly Step[] | undefined {
    const wildcards = [...node.transitions.keys()].filter((one) => one !== type && covers(one, type))
    const descriptors = [type, ...wildcards.sort((one, other) => other.length - one.length)]
    return this.#all(descriptors.flatMap((one) => node.transitions.get(one) ?? []))
  }

  /** The candidates of a node that wait for no event; `undefined` when only the machine can judge one. */
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

/** The states after a plain step, as far as the step names them: the machine knows where the rest begins. */
export function valueAfter(value: StateValue, { domain, target }: Step): StateValue {
  if (target === undefined || (target === domain && Object.keys(target.states).length === 0)) return value
  return replaced(value, domain.path, within(target.path.slice(domain.path.length)))
}

/** True when one of two steps leaves states that the other one leaves or enters, too. */
export function overlap(one: Step, other: Step): boolean {
  return isWithin(one.domain, other.domain) || isWithin(other.domain, one.domain)
}

/** True for an action that makes a new context. */
export function isAssign(action: StepAction['run']): action is AssignAction {
  return (action as Partial<AssignAction>).type === 'xstate.assign'
}

/** The context an assigner makes of another. */
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

/** Raises a `TypeError`: a child that an assigner spawns would be lost. */
export function noSpawn(): never {
  throw new TypeError('a chart table cannot spawn from an assigner: use spawnChild')
}

/**
 * Whether steps of this chart have no effect beside their own: nothing happens on entry, exit, with time, or because a
 * part has ended, and nothing is remembered of states that are left.
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

/** The node and everything below it. */
export function* nodesWithin(node: AnyStateNode): Iterable<AnyStateNode> {
  yield node
  for (const child of Object.values(node.states)) yield* nodesWithin(child)
}

/** Whether a descriptor such as `a.b.*` or `*` stands for the event type. */
function covers(descriptor: string, type: string): boolean {
  if (descriptor === '*') return true
  if (!descriptor.endsWith('.*')) return false
  const prefix = descriptor.slice(0, -'.*'.length)
  return !prefix.includes('*') && (type === prefix || type.startsWith(`${prefix}.`))
}

/** Whether a descriptor stands for the end of some part of the chart. */
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

/** The function a reference names; nothing when it is missing, is built in, or takes parameters that are computed. */
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
