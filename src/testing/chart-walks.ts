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

/** One event of a walk, and the snapshot of the chart after it. */
export interface ChartStep<Machine extends AnyStateMachine> {
  readonly event: EventFrom<Machine>
  readonly snapshot: SnapshotFrom<Machine>
}

/** A path through a chart, to be followed with your system. */
export interface ChartWalk<Machine extends AnyStateMachine> {
  /** The states on the path and the events between them, for instance `provisioning -start-> running`. */
  readonly name: string
  /** The snapshot before the first event. */
  readonly initial: SnapshotFrom<Machine>
  readonly steps: readonly ChartStep<Machine>[]
  /** The events in `events` that the chart refuses at the end of the walk. */
  readonly refused: readonly EventFrom<Machine>[]
}

/** Options of {@link walkChart}. */
export interface ChartWalkOptions<Machine extends AnyStateMachine> {
  /** All events that may be sent, with their data. */
  readonly events: readonly EventFrom<Machine>[]
  /** The input of the chart, if it takes one. */
  readonly input?: InputFrom<Machine>
  /**
   * `states`, the default: the shortest path to every state. `transitions`: the shortest path through every transition.
   * `paths`: every path to every state that enters no state twice; there are many in a large chart.
   */
  readonly cover?: 'states' | 'transitions' | 'paths'
  /**
   * Distinguishes snapshots with the same states, for charts whose guards read the context: the returned values are
   * compared as JSON. By default only the states count.
   */
  readonly distinguish?: (snapshot: SnapshotFrom<Machine>) => unknown
  /** Maximum number of distinct snapshots; beyond it the search raises `invalid_input`. Default 10,000. */
  readonly limit?: number
}

/** A system that is described by a chart. */
export interface ChartSystem<Machine extends AnyStateMachine> {
  /** Carries out the event; throws or rejects if the system refuses it. */
  send(event: EventFrom<Machine>): Awaitable<unknown>
  /** Returns the state of the system, in the terms of the chart. You can make further assertions here. */
  state(expected: SnapshotFrom<Machine>): Awaitable<StateValue>
}

/**
 * Finds paths through a chart with `xstate/graph`: a chart of stateward (`stateward/machines`), or any of yours that
 * does not depend on other actors. Run each path against a fresh system, with {@link followWalk} or your own code.
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
 * Follows a walk with a system: sends each event and compares the states after it, then sends the events that the chart
 * refuses at the end and expects the system to refuse them and to stay in its state. Rejects with an `AssertionError`
 * that names the walk.
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

/** Options for the traversal: distinguishes snapshots, and stops a search that exceeds the limit. */
function traversalOf<Machine extends AnyStateMachine>(options: ChartWalkOptions<Machine>) {
  const { events, input, distinguish = () => null, limit = 10_000 } = options
  const places = new Set<string>()
  const placeOf = (snapshot: SnapshotFrom<Machine>): string => {
    const place = JSON.stringify([stateOf(snapshot), distinguish(snapshot)])
    if (places.add(place).size <= limit) return place
    const reason = `more than ${limit} places: distinguish fewer of them, or raise the limit`
    throw new InvalidInputError({ subject: 'chart walk', field: 'limit', reason })
  }
  // The types of xstate/graph are for one specific machine; this code accepts any.
  return { events, input, serializeState: placeOf } as never
}

type Events<Machine extends AnyStateMachine> = readonly EventFrom<Machine>[]

/** The paths as lists of events, without the `xstate.init` event that XState includes. */
function eventsOf<Machine extends AnyStateMachine>(
  paths: readonly { readonly steps: readonly { readonly event: { readonly type: string } }[] }[],
): Events<Machine>[] {
  return paths.map(({ steps }) =>
    steps.map(({ event }) => event).filter(({ type }) => type !== 'xstate.init'),
  ) as unknown as Events<Machine>[]
}

/** The shortest path to each snapshot, followed by each event that the chart accepts there. */
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

/** Runs the chart along a path of events. */
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
