import {
  transition as stockTransition,
  type AnyEventObject,
  type AnyMachineSnapshot,
  type AnyStateMachine,
  type AnyStateNode,
  type ContextFrom,
  type EventFrom,
  type MachineContext,
  type SnapshotFrom,
  type StateValue,
} from 'xstate'
import { deepFreeze } from '../src/base/freeze.js'
import { assigned, ChartSteps, isAssign, overlap, valueAfter, type Step } from './chart-steps.js'
import { askMachine, conditionIn, dataGuardsOf, refusedBy, type AskGuard, type DataGuard } from './guard-tree.js'
import type { Condition, GuardArguments } from './guard-tree.js'

/** A combination of states of a chart. */
export type StatesOf<Machine extends AnyStateMachine> = SnapshotFrom<Machine>['value']

/** The state value and context of one thing in its chart: the part of a row, or the snapshot of an actor. */
export interface Place<Machine extends AnyStateMachine> {
  readonly value: StatesOf<Machine>
  readonly context: ContextFrom<Machine>
}

/** The effect of an event in a place. It can be kept and followed later without evaluating guards again. */
export interface Selection {
  /** True if the event is legal: a transition is taken that has a target or actions. */
  readonly isTaken: boolean
  /**
   * The transitions taken, at most one per region. For a refusal, the transition in the chart that stands for it, if
   * any.
   */
  readonly steps: readonly Step[]
  /**
   * For a refusal, the name of the guard that failed first, inner states before outer ones. `undefined` if nothing in
   * these states handles the event.
   */
  readonly guard: string | undefined
  /** For a refusal that the chart expresses as a transition without effect, the meta of that transition. */
  readonly meta: unknown
}

/** A candidate in a configuration, with the parts of its guard that depend only on states already decided. */
interface Candidate {
  readonly step: Step
  readonly condition: Condition | undefined
  readonly selection: Selection
}

/**
 * An active state node with its candidates for one event type, which apply if no node within has a transition. Nodes
 * within that have no candidates are left out.
 */
interface Level {
  readonly within: readonly Level[]
  readonly candidates: readonly Candidate[]
}

/** A combination of states, with the cached answers about it. */
interface Configuration {
  readonly value: StateValue
  readonly snapshot: AnyMachineSnapshot
  readonly tags: ReadonlySet<string>
  readonly levels: Map<string, Level | undefined>
  /** For event types asked about without data, whether some data makes them legal. */
  readonly possible: Map<string, boolean>
  /**
   * Eventless candidates per atomic state: its own, then those of its ancestors. `undefined` if only the machine can
   * judge them.
   */
  readonly always: readonly (readonly Candidate[])[] | undefined
  /** Where each step leads from here, ignoring eventless transitions. */
  readonly after: Map<Step, Configuration>
}

/** Refusals that consist of nothing but a guard's name, one per name. */
const refusals = new Map<string | undefined, Selection>()

const nothingTaken: readonly Step[] = []

/** Up to how many data guards of one event {@link ChartTable.isPossible} tries all combinations of results. */
const maxGuardsTried = 12

/**
 * A chart as a table of transitions, for things stored as rows, and for machines that are run by a shortcut.
 *
 * The table decides nothing: the machine's own guards are called with the real context and event. It only caches what
 * depends on states alone: which transitions compete for an event type while certain states are active, what those
 * states say about guards such as `stateIn`, and where a transition leads. Guards combined by `and`, `or` and `not`
 * are read as a tree, so that a refusal can name the guard that caused it. The cache stays small, because event types
 * never contain ids and a chart reaches few combinations of states.
 *
 *     const chart = new ChartTable(runMachine)
 *     const selection = chart.select(place, { type: 'close_lease', owner, expiresAtMs })
 *     selection.isTaken // false
 *     selection.guard   // 'isHeldExpiry'
 *
 * Everything that a table cannot express is left to the machine: entry and exit actions, invoked actors, delays,
 * several targets at once, and actions other than functions and `assign`. The results are the same, only slower; a
 * differential test compares them. A place contains no history, so charts with history states cannot be used for
 * rows.
 */
export class ChartTable<Machine extends AnyStateMachine> {
  readonly machine: Machine
  readonly #configurations = new Map<string, Configuration | undefined>()
  /** Configurations by the state value object, for frozen objects that were asked about before. */
  readonly #known = new WeakMap<object, Configuration>()
  readonly #steps: ChartSteps
  #reachable: Set<Configuration | undefined> | undefined

  constructor(machine: Machine) {
    this.machine = machine
    this.#steps = new ChartSteps(machine)
  }

  /** The effect of an event in a place. A place outside the chart refuses everything. Throws what a guard throws. */
  select(place: Place<Machine>, event: EventFrom<Machine>): Selection {
    return this.trySelect(place, event) ?? this.#ask(place, event)
  }

  /** Like {@link select}, but `undefined` where only the machine can decide, and if a guard throws. */
  trySelect({ value, context }: Place<Machine>, event: EventFrom<Machine>): Selection | undefined {
    const configuration = this.#configuration(value)
    if (configuration === undefined) return refusal(undefined)
    const { type } = event as AnyEventObject
    const level = configuration.levels.get(type) ?? this.#level(configuration, type)
    if (level === undefined) return undefined
    try {
      return choose(level, { context, event }, askMachine)
    } catch {
      return undefined
    }
  }

  /** The place that an event leads to; `undefined` if it is refused. Throws what a guard throws. */
  move(place: Place<Machine>, event: EventFrom<Machine>): Place<Machine> | undefined {
    const selection = this.select(place, event)
    return selection.isTaken ? this.follow(place, event, selection) : undefined
  }

  /**
   * The place that a selection leads to: assignments made, targets entered, eventless transitions taken. Other
   * actions are not run, because a row has no actor to run them.
   */
  follow(place: Place<Machine>, event: EventFrom<Machine>, { steps }: Selection): Place<Machine> {
    const start = this.#configuration(place.value)
    const args = { context: place.context as MachineContext, event: event as AnyEventObject }
    return (start && this.#walk(start, args, steps)) ?? this.#askWhere(place, event)
  }

  /** Whether the event would be legal in these states with some data. */
  isPossible(value: StatesOf<Machine>, type: EventFrom<Machine>['type']): boolean {
    const configuration = this.#configuration(value)
    if (configuration === undefined) return false
    let isPossible = configuration.possible.get(type)
    if (isPossible === undefined) {
      const level = this.#level(configuration, type)
      isPossible = level !== undefined && possibilities(level).some(({ isTaken }) => isTaken)
      configuration.possible.set(type, isPossible)
    }
    return isPossible
  }

  /** Whether these states can be reached at all. A stored row with other states is invalid. */
  isReachable(value: StatesOf<Machine>): boolean {
    this.#reachable ??= new Set(this.#reach())
    return this.#reachable.has(this.#configuration(value))
  }

  /** Whether one of these states has the tag. */
  hasTag(value: StatesOf<Machine>, tag: string): boolean {
    return this.#configuration(value)?.tags.has(tag) ?? false
  }

  #configuration(value: StateValue): Configuration | undefined {
    // A string is its own key.
    const known = typeof value === 'string' ? this.#configurations.get(value) : this.#known.get(value)
    if (known !== undefined) return known
    const found = this.#configurationOf(value)
    if (found !== undefined && typeof value === 'object' && Object.isFrozen(value)) this.#known.set(value, found)
    return found
  }

  #configurationOf(value: StateValue): Configuration | undefined {
    const key = keyOf(value)
    const known = this.#configurations.get(key)
    if (known !== undefined || this.#configurations.has(key)) return known
    const made = this.#makeConfiguration(value)
    this.#configurations.set(key, made)
    return made
  }

  #makeConfiguration(value: StateValue): Configuration | undefined {
    let snapshot: AnyMachineSnapshot
    try {
      snapshot = this.machine.resolveState({ value, context: {} }) as AnyMachineSnapshot
    } catch {
      return undefined
    }
    // The value was incomplete, or listed its regions in another order.
    if (keyOf(snapshot.value as StateValue) !== keyOf(value)) return this.#configuration(snapshot.value as StateValue)
    return {
      value: deepFreeze(snapshot.value as StateValue),
      snapshot,
      tags: snapshot.tags,
      levels: new Map(),
      possible: new Map(),
      always: eventless(this.machine.root, snapshot.value, snapshot, this.#steps),
      after: new Map(),
    }
  }

  #level(configuration: Configuration, type: string): Level | undefined {
    const { levels } = configuration
    const known = levels.get(type)
    return known !== undefined || levels.has(type) ? known : this.#makeLevel(configuration, type)
  }

  #makeLevel({ snapshot, levels }: Configuration, type: string): Level | undefined {
    const steps = (node: AnyStateNode): readonly Step[] | undefined => this.#steps.listening(node, type)
    const made = levelOf(this.machine.root, snapshot, steps)
    levels.set(type, made)
    return made
  }

  /** `undefined` where only the machine can decide. */
  #walk(
    start: Configuration,
    args: { context: MachineContext; event: AnyEventObject },
    steps: readonly Step[],
  ): Place<Machine> | undefined {
    let at: Configuration = start
    let taken = steps
    while (taken.length > 0) {
      const before: Configuration = at
      const { context } = args
      for (const { isPlain, actions } of taken) {
        if (!isPlain) return undefined
        for (const { run, params } of actions) if (isAssign(run)) args.context = assigned(run, args, params)
      }
      const [step] = taken
      const known = taken.length === 1 && step !== undefined ? at.after.get(step) : undefined
      const next: Configuration | undefined = known ?? this.#after(at, taken)
      if (next?.always === undefined) return undefined
      at = next
      if (next.always.length === 0) break
      taken = chooseEventless(next.always, args)
      if (at === before && args.context === context) break
    }
    return { value: at.value, context: args.context } as Place<Machine>
  }

  #after(from: Configuration, steps: readonly Step[]): Configuration | undefined {
    let at: Configuration = from
    for (const step of steps) {
      if (step.target === undefined) continue
      // Targets in different regions are independent. For overlapping ones, only the machine knows their order.
      if (steps.length > 1 && overlapsEarlier(step, steps)) return undefined
      let next: Configuration | undefined = at.after.get(step)
      if (next === undefined) {
        next = this.#configuration(valueAfter(at.value, step))
        if (next === undefined) return undefined
        at.after.set(step, next)
      }
      at = next
    }
    return at
  }

  /** Every combination of states that some data leads to. */
  #reach(): Set<Configuration> {
    const reached = new Set<Configuration>()
    // The machine completes a state value: an empty one becomes the initial states.
    this.#settle(this.#configuration({}), reached)
    for (const at of reached) {
      for (const type of this.machine.events) {
        const level = this.#level(at, type as string)
        if (level === undefined) throw new TypeError(`no table of ${this.machine.id} can hold ${String(type)}`)
        for (const { steps } of possibilities(level)) this.#settle(this.#after(at, steps), reached)
      }
    }
    return reached
  }

  /**
   * Adds a configuration, or those that its eventless transitions may lead to. `passed` are the configurations on the
   * way.
   */
  #settle(at: Configuration | undefined, reached: Set<Configuration>, passed = new Set<Configuration>()): void {
    if (at?.always === undefined) throw new TypeError(`no table of ${this.machine.id} can hold its states`)
    if (passed.has(at)) return
    passed.add(at)
    const level: Level = { within: at.always.map((candidates) => ({ within: [], candidates })), candidates: [] }
    for (const { steps } of possibilities(level)) {
      const next: Configuration | undefined = this.#after(at, unique(steps))
      if (next === at) reached.add(at)
      else this.#settle(next, reached, passed)
    }
  }

  #ask({ value, context }: Place<Machine>, event: EventFrom<Machine>): Selection {
    const snapshot = this.machine.resolveState({ value, context }) as AnyMachineSnapshot
    const taken = this.machine.getTransitionData(snapshot as never, event)
    const isTaken = taken.some(({ target, actions }) => target !== undefined || actions.length > 0)
    const meta: unknown = isTaken ? undefined : taken.find((one) => one.meta !== undefined)?.meta
    return { isTaken, steps: taken.map((one) => this.#steps.of(one)), guard: undefined, meta }
  }

  #askWhere({ value, context }: Place<Machine>, event: EventFrom<Machine>): Place<Machine> {
    const snapshot = this.machine.resolveState({ value, context })
    const [next] = stockTransition(this.machine as AnyStateMachine, snapshot as never, event as never)
    return { value: next.value, context: next.context }
  }
}

/** Whether a step overlaps with one before it. */
function overlapsEarlier(step: Step, steps: readonly Step[]): boolean {
  return steps.slice(0, steps.indexOf(step)).some((other) => other.target !== undefined && overlap(step, other))
}

/** A key for each combination of states. The same regions in a different order may have a different key. */
function keyOf(value: StateValue): string {
  if (typeof value === 'string') return value
  let key = ''
  for (const region in value) key += `${region}:${keyOf(value[region] as StateValue)};`
  return key
}

/** The active nodes with their candidates for an event; `undefined` if only the machine can judge one of them. */
function levelOf(
  node: AnyStateNode,
  snapshot: AnyMachineSnapshot,
  stepsOf: (node: AnyStateNode) => readonly Step[] | undefined,
  value = snapshot.value as StateValue,
): Level | undefined {
  const within = activeIn(node, value).map(([child, inner]) => levelOf(child, snapshot, stepsOf, inner))
  const steps = stepsOf(node)
  if (steps === undefined || !within.every((level) => level !== undefined)) return undefined
  const listening = within.filter((level) => level.within.length > 0 || level.candidates.length > 0)
  const [only] = listening
  if (steps.length === 0 && listening.length === 1 && only !== undefined) return only
  return { within: listening, candidates: steps.map((step) => candidate(step, snapshot)) }
}

/** The active child states of a node, each with its own state value. */
function activeIn({ states }: AnyStateNode, value: StateValue): [AnyStateNode, StateValue][] {
  const inner: [string, StateValue | undefined][] = typeof value === 'string' ? [[value, {}]] : Object.entries(value)
  return inner.map(([key, part = {}]) => [states[key] as AnyStateNode, part])
}

/** The active states without active children. */
function atomsIn(node: AnyStateNode, value: StateValue): AnyStateNode[] {
  const active = activeIn(node, value)
  return active.length === 0 ? [node] : active.flatMap(([child, inner]) => atomsIn(child, inner))
}

function eventless(
  root: AnyStateNode,
  value: StateValue,
  snapshot: AnyMachineSnapshot,
  chart: ChartSteps,
): Candidate[][] | undefined {
  const chains: Candidate[][] = []
  for (const atom of atomsIn(root, value)) {
    const chain: Candidate[] = []
    for (let node: AnyStateNode | undefined = atom; node !== undefined; node = node.parent) {
      const own = chart.eventless(node)
      if (own === undefined) return undefined
      chain.push(...own.map((step) => candidate(step, snapshot)).filter(mayPass))
    }
    if (chain.length > 0) chains.push(chain)
  }
  return chains
}

function candidate(step: Step, snapshot: AnyMachineSnapshot): Candidate {
  const condition = step.guard && conditionIn(step.guard, snapshot)
  const { isRefusal, transition, guard } = step
  const selection = {
    isTaken: !isRefusal,
    steps: [step],
    guard: isRefusal ? guard?.name : undefined,
    meta: isRefusal ? transition.meta : undefined,
  }
  return { step, condition, selection }
}

/** False for a candidate that these states rule out, whatever the data. */
function mayPass({ condition }: Candidate): boolean {
  return condition?.type !== 'answer' || condition.passes
}

/** The selection at a level: that of its inner nodes, or else its own first candidate whose guard passes. */
function choose(level: Level, args: GuardArguments, ask: AskGuard): Selection {
  const { within, candidates } = level
  let inner: Selection | undefined
  let guard: string | undefined
  for (const node of within) {
    const selection = choose(node, args, ask)
    if (selection.steps.length > 0) inner = inner === undefined ? selection : both(inner, selection)
    else guard ??= selection.guard
  }
  if (inner !== undefined) return inner
  for (const { condition, selection } of candidates) {
    if (condition === undefined || (condition.type === 'answer' && condition.passes)) return selection
    const refused = refusedBy(condition, args, ask)
    if (refused === undefined) return selection
    guard ??= refused
  }
  return refusal(guard)
}

function chooseEventless(always: NonNullable<Configuration['always']>, args: GuardArguments): readonly Step[] {
  const taken: Step[] = []
  for (const chain of always) {
    for (const { condition, step } of chain) {
      if (condition !== undefined && refusedBy(condition, args, askMachine) !== undefined) continue
      if (!taken.includes(step)) taken.push(step)
      break
    }
  }
  return taken
}

/** Combines the selections of two regions for the same event. */
function both(one: Selection, other: Selection): Selection {
  const isTaken = one.isTaken || other.isTaken
  return {
    isTaken,
    steps: [...one.steps, ...other.steps],
    guard: isTaken ? undefined : (one.guard ?? other.guard),
    meta: isTaken ? undefined : (one.meta ?? other.meta),
  }
}

function refusal(guard: string | undefined): Selection {
  let made = refusals.get(guard)
  if (made === undefined) refusals.set(guard, (made = { isTaken: false, steps: nothingTaken, guard, meta: undefined }))
  return made
}

/** Every selection that some results of the data guards lead to. One guard has the same result wherever it occurs. */
function possibilities(level: Level): Selection[] {
  const guards: DataGuard[] = []
  for (const guard of dataGuardsIn(level)) {
    if (!guards.some((known) => isSameQuestion(known, guard))) guards.push(guard)
  }
  if (guards.length > maxGuardsTried) throw new TypeError(`an event asks ${guards.length} guards`)
  const found: Selection[] = []
  const nothing = { context: undefined, event: { type: '' } }
  for (let answers = 0; answers < 2 ** guards.length; answers++) {
    const ask: AskGuard = (guard) => ((answers >> guards.findIndex((known) => isSameQuestion(known, guard))) & 1) === 1
    found.push(choose(level, nothing, ask))
  }
  return found
}

function dataGuardsIn({ within, candidates }: Level): DataGuard[] {
  return [
    ...within.flatMap(dataGuardsIn),
    ...candidates.flatMap(({ condition }) => (condition === undefined ? [] : dataGuardsOf(condition))),
  ]
}

function isSameQuestion(one: DataGuard, other: DataGuard): boolean {
  return one.run === other.run && one.params === other.params
}

function unique(steps: readonly Step[]): readonly Step[] {
  return [...new Set(steps)]
}
