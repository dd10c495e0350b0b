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

/** Where one thing stands in its chart: what a row holds of it, or the snapshot of its actor. */
export interface Place<Machine extends AnyStateMachine> {
  readonly value: StatesOf<Machine>
  readonly context: ContextFrom<Machine>
}

/** What an event does in a place. Kept, it can be followed later without asking a guard again. */
export interface Selection {
  /** True when the event is legal: some transition is taken that moves or acts. */
  readonly isTaken: boolean
  /** The transitions taken, one per region at most; of a refusal, the one that stands for it, if the chart has one. */
  readonly steps: readonly Step[]
  /**
   * Of a refusal, the guard that said no, by the name the chart gives it: the first to fail, inner states before outer
   * ones. `undefined` when nothing in these states listens to the event.
   */
  readonly guard: string | undefined
  /** Of a refusal that the chart states as a transition without effect, the meta of that transition. */
  readonly meta: unknown
}

/** A candidate in a configuration: what states alone decide about its guard is decided. */
interface Candidate {
  readonly step: Step
  readonly condition: Condition | undefined
  readonly selection: Selection
}

/**
 * A state node that is active: its candidates for one event type, asked when no node within has a transition. Nodes within
 * that have none for it are left out.
 */
interface Level {
  readonly within: readonly Level[]
  readonly candidates: readonly Candidate[]
}

/** A combination of states, with what it was asked before. */
interface Configuration {
  readonly value: StateValue
  readonly snapshot: AnyMachineSnapshot
  readonly tags: ReadonlySet<string>
  readonly levels: Map<string, Level | undefined>
  /** Event types that were asked about without data, and whether some data makes them legal. */
  readonly possible: Map<string, boolean>
  /** Eventless candidates: per atomic state its own, then those of its ancestors; `undefined` when only the machine can tell. */
  readonly always: readonly (readonly Candidate[])[] | undefined
  /** Where a step leads from here, eventless transitions aside. */
  readonly after: Map<Step, Configuration>
}

/** Selections that hold nothing but a name, each made once. */
const refusals = new Map<string | undefined, Selection>()

const nothingTaken: readonly Step[] = []

/** How many data guards of one event {@link ChartTable.isPossible} tries in every combination of answers. */
const maxGuardsTried = 12

/**
 * A chart as a table of moves, for things that are rows, and for machines that are run by a shortcut.
 *
 * Nothing is decided here: the machine's own guards are asked with the real context and event. What is remembered
 * depends on states alone, and so is looked up once: which transitions compete for an event type while certain states are
 * active, what those states say about guards such as `stateIn`, and where a transition leads. Guards combined by `and`,
 * `or` and `not` are read as a tree, so that a refusal can name the guard that caused it. Event types are few, because no
 * id is ever part of one; so are the combinations of states that one chart reaches.
 *
 *     const chart = new ChartTable(runMachine)
 *     const selection = chart.select(place, { type: 'close_lease', owner, expiresAtMs })
 *     selection.isTaken // false
 *     selection.guard   // 'isHeldExpiry'
 *
 * What a table cannot hold is left to the machine: entry and exit actions, invoked actors, delays, several targets at
 * once, actions other than functions and `assign`. The answers are the same, they only take longer; a differential test
 * holds them equal. A place remembers no history, so a chart with history states is no chart for rows.
 */
export class ChartTable<Machine extends AnyStateMachine> {
  readonly machine: Machine
  readonly #configurations = new Map<string, Configuration | undefined>()
  /** The same for states that were asked about before as the same object; nobody changes the states of a place. */
  readonly #known = new WeakMap<object, Configuration>()
  readonly #steps: ChartSteps
  #reachable: Set<Configuration | undefined> | undefined

  constructor(machine: Machine) {
    this.machine = machine
    this.#steps = new ChartSteps(machine)
  }

  /** What an event does in a place; a place outside the chart refuses everything. Raises what a guard throws. */
  select(place: Place<Machine>, event: EventFrom<Machine>): Selection {
    return this.trySelect(place, event) ?? this.#ask(place, event)
  }

  /** The same, but `undefined` where only the machine can tell; a guard that throws is left to it, too. */
  trySelect({ value, context }: Place<Machine>, event: EventFrom<Machine>): Selection | undefined {
    const configuration = this.#configuration(value)
    if (configuration === undefined) return refusal(undefined)
    const level = this.#level(configuration, (event as AnyEventObject).type)
    if (level === undefined) return undefined
    try {
      return choose(level, { context, event }, askMachine)
    } catch {
      return undefined
    }
  }

  /** Where an event leads; `undefined` when it is refused. Raises what a guard throws. */
  move(place: Place<Machine>, event: EventFrom<Machine>): Place<Machine> | undefined {
    const selection = this.select(place, event)
    return selection.isTaken ? this.follow(place, event, selection) : undefined
  }

  /**
   * Where a selection leads: its assignments made, its targets entered, eventless transitions taken. Other actions are
   * not run: a row has nobody to run them for.
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

  /** Whether some history leads to these states: what a stored row must not contradict. */
  isReachable(value: StatesOf<Machine>): boolean {
    this.#reachable ??= new Set(this.#reach())
    return this.#reachable.has(this.#configuration(value))
  }

  /** Whether a state among these has the tag. */
  hasTag(value: StatesOf<Machine>, tag: string): boolean {
    return this.#configuration(value)?.tags.has(tag) ?? false
  }

  #configuration(value: StateValue): Configuration | undefined {
    // A text is its own key.
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
    // What was asked about left something out, or names its regions in another order.
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

  #level({ snapshot, levels }: Configuration, type: string): Level | undefined {
    const known = levels.get(type)
    if (known !== undefined || levels.has(type)) return known
    const steps = (node: AnyStateNode): readonly Step[] | undefined => this.#steps.listening(node, type)
    const made = levelOf(this.machine.root, snapshot, steps)
    levels.set(type, made)
    return made
  }

  /** `undefined` where only the machine knows the way. */
  #walk(
    start: Configuration,
    args: { context: MachineContext; event: AnyEventObject },
    steps: readonly Step[],
  ): Place<Machine> | undefined {
    let at: Configuration = start
    let taken = steps
    while (taken.length > 0) {
      const before = { at, context: args.context }
      for (const { isPlain, actions } of taken) {
        if (!isPlain) return undefined
        for (const { run, params } of actions) if (isAssign(run)) args.context = assigned(run, args, params)
      }
      const next: Configuration | undefined = this.#after(at, taken)
      if (next?.always === undefined) return undefined
      at = next
      taken = chooseEventless(next.always, args)
      if (at === before.at && args.context === before.context) break
    }
    return { value: at.value, context: args.context } as Place<Machine>
  }

  #after(from: Configuration, steps: readonly Step[]): Configuration | undefined {
    let at: Configuration = from
    for (const step of steps) {
      if (step.target === undefined) continue
      // Targets of different regions do not disturb one another; of those that do, the machine knows which goes first.
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
    // The machine fills in what a value leaves out: one without anything is where it begins.
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

  /** Adds a configuration, or those that its eventless transitions may lead to; `passed` are those on the way. */
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

/** Whether a step and one before it lead to states that disturb one another. */
function overlapsEarlier(step: Step, steps: readonly Step[]): boolean {
  return steps.slice(0, steps.indexOf(step)).some((other) => other.target !== undefined && overlap(step, other))
}

/** A text for each combination of states; two orders of the same regions may have two. */
function keyOf(value: StateValue): string {
  if (typeof value === 'string') return value
  let key = ''
  for (const region in value) key += `${region}:${keyOf(value[region] as StateValue)};`
  return key
}

/** The nodes of a configuration with their candidates for an event; `undefined` when one of them only the machine can judge. */
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

/** The states within a node that are active, each with what is active within it. */
function activeIn({ states }: AnyStateNode, value: StateValue): [AnyStateNode, StateValue][] {
  const inner: [string, StateValue | undefined][] = typeof value === 'string' ? [[value, {}]] : Object.entries(value)
  return inner.map(([key, part = {}]) => [states[key] as AnyStateNode, part])
}

/** The active states that have none within. */
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

/** What is taken of a level: what its inner nodes take, or else its own first candidate that passes. */
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
    const refused = condition && refusedBy(condition, args, ask)
    if (refused === undefined) return selection
    guard ??= refused
  }
  return refusal(guard)
}

function chooseEventless(always: NonNullable<Configuration['always']>, args: GuardArguments): readonly Step[] {
  if (always.length === 0) return nothingTaken
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

/** What two regions take of the same event. */
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

/** Every selection that some answers of the data guards lead to; one guard answers the same wherever it is asked. */
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
