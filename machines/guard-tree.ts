import { and, not, or, stateIn, type AnyEventObject, type AnyMachineSnapshot, type AnyStateMachine } from 'xstate'

/** The arguments of a guard. */
export interface GuardArguments {
  readonly context: unknown
  readonly event: AnyEventObject
}

/** A guard function of the machine that reads context and event, with its name in the chart. */
export interface DataGuard {
  readonly type: 'data'
  readonly name: string
  readonly run: (args: GuardArguments, params: unknown) => boolean
  /** As written in the chart: a value, or a function that computes one. */
  readonly params: unknown
}

/** A guard that depends only on states. */
interface StateGuard {
  readonly type: 'states'
  readonly name: string
  readonly holds: (snapshot: AnyMachineSnapshot) => boolean
}

/** A guard that combines others. */
interface Combination<Part> {
  readonly type: 'and' | 'or' | 'not'
  readonly name: string
  readonly parts: readonly Part[]
}

/** A guard as written in the chart, with its names resolved. */
export type GuardTree = DataGuard | StateGuard | Combination<GuardTree>

/** The guard while certain states are active: the parts that depend only on states have been evaluated. */
export type Condition =
  | DataGuard
  | { readonly type: 'answer'; readonly name: string; readonly passes: boolean }
  | Combination<Condition>

/** Evaluates a data guard: by calling the machine's function, or with assumed results. */
export type AskGuard = (guard: DataGuard, args: GuardArguments) => boolean

type HeldGuard = CallableFunction & {
  readonly check?: (snapshot: AnyMachineSnapshot, args: unknown, guard: unknown) => boolean
  readonly guards?: readonly unknown[]
}

/** XState's combinators are recognised by their check function; names would not survive a bundler. */
const combinators = new Map<unknown, Combination<never>['type']>([
  [checkOf(and([])), 'and'],
  [checkOf(or([])), 'or'],
  [checkOf(not(() => true)), 'not'],
])
const stateCheck = checkOf(stateIn('#none'))

/** The guard of a transition; `undefined` if a name is missing or only the machine can evaluate it. */
export function readGuard(machine: AnyStateMachine, held: unknown, name?: string): GuardTree | undefined {
  if (typeof held === 'function') return readFunction(machine, held as HeldGuard, name)
  const { type, params } = referenceOf(held)
  const implementation: unknown = machine.implementations.guards[type]
  if (implementation === undefined) return undefined
  // A name that stands for another guard: XState evaluates it with the other's parameters.
  if (typeof implementation !== 'function') return readGuard(machine, implementation, name ?? type)
  if ('check' in implementation) return readFunction(machine, implementation as HeldGuard, name ?? type)
  return { type: 'data', name: name ?? type, run: implementation as DataGuard['run'], params }
}

/** The parts of a guard that still have to be evaluated while the states of the snapshot are active. */
export function conditionIn(guard: GuardTree, snapshot: AnyMachineSnapshot): Condition {
  const { name } = guard
  switch (guard.type) {
    case 'data':
      return guard
    case 'states':
      return { type: 'answer', name, passes: guard.holds(snapshot) }
    case 'not':
      return negated(
        name,
        guard.parts.map((part) => conditionIn(part, snapshot)),
      )
    default:
      return combined(
        guard.type,
        name,
        guard.parts.map((part) => conditionIn(part, snapshot)),
      )
  }
}

function negated(name: string, parts: readonly Condition[]): Condition {
  const [part] = parts
  return part?.type === 'answer' ? { type: 'answer', name, passes: !part.passes } : { type: 'not', name, parts }
}

/**
 * Only the parts that have to be evaluated. In an `and`, parts that pass are dropped, and so is everything after one
 * that fails; in an `or`, the other way round.
 */
function combined(type: 'and' | 'or', name: string, parts: readonly Condition[]): Condition {
  const goesOn = type === 'and'
  const asked: Condition[] = []
  for (const part of parts) {
    if (part.type === 'answer' && part.passes === goesOn) continue
    asked.push(part)
    if (part.type === 'answer') break
  }
  const [only] = asked
  if (only === undefined) return { type: 'answer', name, passes: goesOn }
  if (only.type === 'answer') return { ...only, name: goesOn ? only.name : name }
  return goesOn && asked.length === 1 ? only : { type, name, parts: asked }
}

/**
 * The name of the guard that refuses; `undefined` if the condition holds. Of an `and`, it is the first part that
 * fails.
 */
export function refusedBy(condition: Condition, args: GuardArguments, ask: AskGuard): string | undefined {
  switch (condition.type) {
    case 'answer':
      return condition.passes ? undefined : condition.name
    case 'data':
      return ask(condition, args) ? undefined : condition.name
    case 'not': {
      const [part] = condition.parts
      return part === undefined || refusedBy(part, args, ask) === undefined ? condition.name : undefined
    }
    case 'and': {
      for (const part of condition.parts) {
        const refusal = refusedBy(part, args, ask)
        if (refusal !== undefined) return refusal
      }
      return undefined
    }
    case 'or':
      return condition.parts.some((part) => refusedBy(part, args, ask) === undefined) ? undefined : condition.name
  }
}

/** Calls the machine's own function. */
export function askMachine({ run, params }: DataGuard, args: GuardArguments): boolean {
  return run(args, typeof params === 'function' ? params(args) : params)
}

/** Every data guard of a condition, in order of evaluation. */
export function dataGuardsOf(condition: Condition): readonly DataGuard[] {
  if (condition.type === 'data') return [condition]
  return condition.type === 'answer' ? [] : condition.parts.flatMap(dataGuardsOf)
}

function readFunction(machine: AnyStateMachine, held: HeldGuard, given: string | undefined): GuardTree | undefined {
  const { check, guards } = held
  if (check === undefined) {
    return { type: 'data', name: given ?? held.name, run: held as unknown as DataGuard['run'], params: undefined }
  }
  if (check === stateCheck) {
    return { type: 'states', name: given ?? 'stateIn', holds: (snapshot) => check(snapshot, undefined, held) }
  }
  const type = combinators.get(check)
  if (type === undefined || guards === undefined) return undefined
  const parts = guards.map((guard) => readGuard(machine, guard))
  if (!parts.every((part) => part !== undefined)) return undefined
  return { type, name: given ?? `${type}(${parts.map((part) => part.name).join(', ')})`, parts }
}

function referenceOf(held: unknown): { readonly type: string; readonly params?: unknown } {
  return typeof held === 'string' ? { type: held } : (held as { type: string; params?: unknown })
}

function checkOf(guard: unknown): unknown {
  return (guard as HeldGuard).check
}
