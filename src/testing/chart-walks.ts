import assert from 'node:assert/strict'
import {
  initialTransition,
  transition,
  type AnyMachineSnapshot,
  type AnyStateMachine,
  type EventFrom,
  type InputFrom,
  type SnapshotFrom,
  type StateValue,
} from 'xstate'
import { getShortestPaths, getSimplePaths } from 'xstate/graph'
import { InvalidInputError, messageOf } from '../base/errors.js'
import type { Awaitable } from './awaitable.js'

/** One event of a walk and the chart behind it. */
export interface ChartStep<Machine extends AnyStateMachine> {
  readonly event: EventFrom<Machine>
  readonly snapshot: SnapshotFrom<Machine>
}

/** A way through a chart, to be gone with a system of yours. */
export interface ChartWalk<Machine extends AnyStateMachine> {
  /** The states on the way and the events between them, for instance `provisioning -start-> running`. */
  readonly name: string
  /** The chart before the first event. */
  readonly initial: SnapshotFrom<Machine>
  readonly steps: readonly ChartStep<Machine>[]
  /** The events among those given that the chart refuses where the walk ends. */
  readonly refused: readonly EventFrom<Machine>[]
}

/** Where to walk, and how far. */
export interface ChartWalkOptions<Machine extends AnyStateMachine> {
  /** Every event that may be sent, each with the data it is sent with. */
  readonly events: readonly EventFrom<Machine>[]
  /** What the chart starts from, for a chart that takes an input. */
  readonly input?: InputFrom<Machine>
  /**
   * `states`, the default: the shortest way to every state. `transitions`: the shortest way through every transition.
   * `paths`: every way to every state that enters none twice; many, for a large chart.
   */
  readonly cover?: 'states' | 'transitions' | 'paths'
  /**
   * What tells two places apart beside the states of the chart, for charts whose guards look at their data: what it
   * returns is compared as JSON. By default states alone.
   */
  readonly distinguish?: (snapshot: SnapshotFrom<Machine>) => unknown
  /** Places looked at before the search ends with `invalid_input`. Default 10,000. */
  readonly limit?: number
}

/** A system that a chart describes. */
export interface ChartSystem<Machine extends AnyStateMachine> {
  /** Does what the event says; throws or rejects when the system refuses. */
  send(event: EventFrom<Machine>): Awaitable<unknown>
  /** The state that the system is in, in the words of the chart. Throw here whatever else you want to be right. */
  state(expected: SnapshotFrom<Machine>): Awaitable<StateValue>
}

/**
 * Finds ways through a chart, by `xstate/graph`: one of stateward's (`stateward/machines`) or any of yours that stands
 * alone. Run each against a fresh system with {@link followWalk}, or in your own words.
 */
export function walkChart<Machine extends AnyStateMachine>(
  machine: Machine,
  options: ChartWalkOptions<Machine>,
): readonly ChartWalk<Machine>[] {
  const { cover = 'states' } = options
  const traversal = traversalOf(options)
  const shortest = (): Events<Machine>[] => eventsOf(getShortestPaths(machine, traversal))
  const ways = {
    states: shortest,
    transitions: () => throughTransitions(machine, options, shortest()),
    paths: () => eventsOf<Machine>(getSimplePaths(machine, traversal)),
  }
  return ways[cover]().map((way) => walkOf(machine, options, way))
}

/**
 * Goes a walk with a system: sends each event, compares states after each, then sends what the chart refuses at the end
 * and expects the system to refuse it too and to stay where it is. Rejects with an `AssertionError` that names the walk.
 */
export async function followWalk<Machine extends AnyStateMachine>(
  { name, initial, steps, refused }: ChartWalk<Machine>,
  system: ChartSystem<Machine>,
): Promise<void> {
  assert.deepEqual(await system.state(initial), stateOf(initial), `before ${name}`)
  let end = initial
  for (const { event, snapshot } of steps) {
    try {
      await system.send(event)
    } catch (error) {
      assert.fail(`${typeOf(event)} was refused on ${name}: ${messageOf(error)}`)
    }
    assert.deepEqual(await system.state(snapshot), stateOf(snapshot), `after ${typeOf(event)} on ${name}`)
    end = snapshot
  }
  for (const event of refused) {
    assert.ok(await isRefused(() => system.send(event)), `${typeOf(event)} should be refused after ${name}`)
    assert.deepEqual(await system.state(end), stateOf(end), `after the refused ${typeOf(event)}, after ${name}`)
  }
}

/** What tells the places of a search apart, and stops one that does not end. */
function traversalOf<Machine extends AnyStateMachine>(options: ChartWalkOptions<Machine>) {
  const { events, input, distinguish = () => null, limit = 10_000 } = options
  const places = new Set<string>()
  const placeOf = (snapshot: SnapshotFrom<Machine>): string => {
    const place = JSON.stringify([stateOf(snapshot), distinguish(snapshot)])
    if (places.add(place).size <= limit) return place
    const reason = `more than ${limit} places: distinguish fewer of them, or raise the limit`
    throw new InvalidInputError({ subject: 'chart walk', field: 'limit', reason })
  }
  // The types of xstate/graph speak of one machine, ours of any.
  return { events, input, serializeState: placeOf } as never
}

type Events<Machine extends AnyStateMachine> = readonly EventFrom<Machine>[]

/** The ways to places as lists of events; XState lists the event that a machine starts with too. */
function eventsOf<Machine extends AnyStateMachine>(
  paths: readonly { readonly steps: readonly { readonly event: { readonly type: string } }[] }[],
): Events<Machine>[] {
  return paths.map(({ steps }) =>
    steps.map(({ event }) => event).filter(({ type }) => type !== 'xstate.init'),
  ) as unknown as Events<Machine>[]
}

/** The shortest way to each place, followed by each event that is taken there. */
function throughTransitions<Machine extends AnyStateMachine>(
  machine: Machine,
  { events, input }: ChartWalkOptions<Machine>,
  ways: readonly Events<Machine>[],
): Events<Machine>[] {
  return ways.flatMap((way) => {
    const { end } = follow(machine, input, way)
    return events.filter((event) => isTaken(end, event)).map((event) => [...way, event])
  })
}

/** The chart along a way, by its own rules. */
function follow<Machine extends AnyStateMachine>(
  machine: Machine,
  input: InputFrom<Machine> | undefined,
  events: Events<Machine>,
) {
  const [initial] = initialTransition<AnyStateMachine>(machine, input) as [SnapshotFrom<Machine>, unknown]
  const steps: ChartStep<Machine>[] = []
  let end = initial
  for (const event of events) {
    ;[end] = transition<AnyStateMachine>(machine, end, event) as [SnapshotFrom<Machine>, unknown]
    steps.push({ event, snapshot: end })
  }
  return { initial, steps, end }
}

function walkOf<Machine extends AnyStateMachine>(
  machine: Machine,
  { events, input }: ChartWalkOptions<Machine>,
  way: Events<Machine>,
): ChartWalk<Machine> {
  const { initial, steps, end } = follow(machine, input, way)
  const legs = steps.map(({ event, snapshot }) => ` -${typeOf(event)}-> ${textOf(snapshot)}`)
  const refused = events.filter((event) => !isTaken(end, event))
  return { name: `${textOf(initial)}${legs.join('')}`, initial, steps, refused }
}

function isTaken(snapshot: AnyMachineSnapshot, event: { readonly type: string }): boolean {
  return snapshot.can(event)
}

function stateOf(snapshot: AnyMachineSnapshot): StateValue {
  return snapshot.value as StateValue
}

function textOf(snapshot: AnyMachineSnapshot): string {
  const state = stateOf(snapshot)
  return typeof state === 'string' ? state : JSON.stringify(state)
}

function typeOf(event: { readonly type: string }): string {
  return event.type
}

/** Whether the call threw or rejected. */
async function isRefused(call: () => Awaitable<unknown>): Promise<boolean> {
  try {
    await call()
    return false
  } catch {
    return true
  }
}
