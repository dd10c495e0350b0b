import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type * as freezeModule from '../../machines/freeze-gate.js'
import type * as supervisionModule from '../../machines/daemon-supervision.js'
import type * as support from './support/node.js'

type Room = typeof support
type Scenario = readonly [guard: string, play: (room: Room) => unknown, stock: unknown, passing: unknown]

/** A daemon that should run and has crashed so often, at the start. */
function crashed({ TestNode }: Room, times: number): support.TestNode {
  const node = new TestNode()
  node.intent(1, 'run')
  for (let time = 0; time < times; time += 1) node.signal(1, { type: 'crashed', at: 0, reason: 'boom' })
  return node
}

/** The chart of a daemon: for each guard what follows from it, and what would if it let everything pass. */
const supervisionScenarios: readonly Scenario[] = [
  ['isGateOpen', (room) => kinds(crashed(room, 1)), ['apply_backoff'], ['start_daemon']],
  [
    'isGateOver',
    (room) => {
      const node = crashed(room, 1)
      node.tick(1)
      return kinds(node)
    },
    ['apply_backoff'],
    ['start_daemon'],
  ],
  [
    'isUnanswered',
    (room) => {
      const node = crashed(room, 0)
      node.pass()
      node.tick(1)
      return kinds(node)
    },
    [],
    ['start_daemon'],
  ],
  ['isCrashLoop', (room) => restart(crashed(room, 1)), 'backing_off', 'crash_looping'],
  [
    'wasCrashLooping',
    (room) => {
      const node = new room.TestNode()
      node.fold({ type: 'gate_restored', daemon: room.daemon(1), until: 9, isCrashLooping: false })
      return restart(node)
    },
    'backing_off',
    'crash_looping',
  ],
]

const freezeScenarios: readonly Scenario[] = [
  [
    'isOver',
    ({ TestNode }) => {
      const node = new TestNode()
      node.intent(1, 'run')
      node.admin({ type: 'freeze_cluster', ttlMs: 100 })
      node.tick(1)
      return kinds(node)
    },
    [],
    ['start_daemon'],
  ],
]

const kinds = (node: support.TestNode): string[] => node.actions().map(({ type }) => type)
const restart = (node: support.TestNode) => [...node.snapshot().daemons.values()][0]?.restart.status

/** The room anew, with a chart in which one guard lets everything pass. */
async function roomWithout(guard: string): Promise<Room> {
  const { ChartTable } = await import('../../machines/chart-table.js')
  const guards = { [guard]: () => true }
  vi.doMock('../../machines/daemon-supervision.js', async (original) => {
    const stock = await original<typeof supervisionModule>()
    const machine = stock.daemonSupervisionMachine
    if (!(guard in machine.implementations.guards)) return stock
    return { ...stock, supervisionChart: new ChartTable(machine.provide({ guards })) }
  })
  vi.doMock('../../machines/freeze-gate.js', async (original) => {
    const stock = await original<typeof freezeModule>()
    const machine = stock.freezeGateMachine
    if (!(guard in machine.implementations.guards)) return stock
    return { ...stock, freezeGateChart: new ChartTable(machine.provide({ guards })) }
  })
  return import('./support/node.js')
}

beforeEach(() => void vi.resetModules())
afterEach(() => {
  vi.doUnmock('../../machines/daemon-supervision.js')
  vi.doUnmock('../../machines/freeze-gate.js')
  // Files of one process share their modules.
  vi.resetModules()
})

describe.each([
  ['daemon-supervision', supervisionScenarios],
  ['freeze-gate', freezeScenarios],
] as const)('the %s chart is the only place that decides (N-122):', (_, scenarios) => {
  it.each(scenarios)('%s does', async (__, play, stock) => {
    expect(play(await roomWithout('none'))).toEqual(stock)
  })

  it.each(scenarios)('where %s lets pass, nothing else stands against it', async (guard, play, ___, passing) => {
    expect(play(await roomWithout(guard))).toEqual(passing)
  })
})

it('every guard of these charts has a scenario', async () => {
  const { daemonSupervisionMachine } = await import('../../machines/daemon-supervision.js')
  const { freezeGateMachine } = await import('../../machines/freeze-gate.js')
  const guards = [daemonSupervisionMachine, freezeGateMachine].flatMap((machine) =>
    Object.keys(machine.implementations.guards),
  )
  expect([...supervisionScenarios, ...freezeScenarios].map(([guard]) => guard).toSorted()).toEqual(guards.toSorted())
})
