import { describe, expect, it } from 'vitest'
import { ChartTable, type Place } from '../../machines/chart-table.js'
import { nodeLoopMachine, type NodeLoopEvent } from '../../machines/node-loop.js'
import { executorMachine, type ExecutorEvent } from '../../machines/executor.js'
import { followWalk, walkChart } from '../../src/testing/index.js'

const loopEvents: readonly NodeLoopEvent[] = [
  { type: 'start' },
  { type: 'shut_down' },
  { type: 'handles_closed', queued: 0 },
  { type: 'handles_closed', queued: 2 },
  { type: 'applied', queued: 0, handles: 0 },
  { type: 'applied', queued: 1, handles: 0 },
  { type: 'applied', queued: 0, handles: 1 },
  { type: 'finished' },
]

const executorEvents: readonly ExecutorEvent[] = [
  { type: 'dispatch' },
  { type: 'settle', queued: 0 },
  { type: 'settle', queued: 1 },
  { type: 'close', queued: 0 },
  { type: 'close', queued: 1 },
]

describe('the loop of a node', () => {
  const chart = new ChartTable(nodeLoopMachine)
  const after = (...events: readonly NodeLoopEvent[]) =>
    events.reduce<Place<typeof nodeLoopMachine>>((place, event) => chart.move(place, event) ?? place, {
      value: 'idle',
      context: {},
    })

  it('[N-450] ends by a shutdown, or when nobody can publish and nothing is queued', () => {
    const [start, shutDown, abandoned, backlog, applied] = loopEvents as readonly [
      NodeLoopEvent,
      NodeLoopEvent,
      NodeLoopEvent,
      NodeLoopEvent,
      NodeLoopEvent,
    ]
    expect(after(start)).toMatchObject({ value: 'running' })
    expect(after(shutDown)).toMatchObject({ value: 'stopped' })
    expect(after(abandoned)).toMatchObject({ value: 'idle' })
    expect(after(start, backlog)).toMatchObject({ value: 'running' })
    expect(after(start, backlog, applied)).toMatchObject({ value: 'stopping' })
    expect(after(start, abandoned)).toMatchObject({ value: 'stopping' })
    expect(after(start, shutDown, { type: 'finished' })).toMatchObject({ value: 'stopped' })
  })

  it('goes every way that its chart describes', async () => {
    const walks = walkChart(nodeLoopMachine, { events: loopEvents, cover: 'transitions' })
    expect(new Set(walks.map(({ name }) => name)).size).toBeGreaterThanOrEqual(5)
    for (const walk of walks) await followWalk(walk, systemOf(chart, 'idle'))
  })
})

describe('the executor', () => {
  const chart = new ChartTable(executorMachine)

  it('goes every way that its chart describes', async () => {
    const walks = walkChart(executorMachine, { events: executorEvents, cover: 'transitions' })
    expect(walks.length).toBeGreaterThanOrEqual(6)
    for (const walk of walks) await followWalk(walk, systemOf(chart, 'waiting'))
  })

  it('[N-410] finishes what is queued before it ends', () => {
    const closing = chart.move({ value: 'dispatching', context: {} }, { type: 'close', queued: 0 })
    expect(closing?.value).toBe('finishing')
    expect(chart.move({ value: 'finishing', context: {} }, { type: 'settle', queued: 1 })).toBeUndefined()
    expect(chart.move({ value: 'finishing', context: {} }, { type: 'settle', queued: 0 })?.value).toBe('ended')
    expect(chart.move({ value: 'waiting', context: {} }, { type: 'close', queued: 0 })?.value).toBe('ended')
  })
})

/** A row that is moved by the chart, as the room moves it. */
function systemOf(chart: ChartTable<typeof nodeLoopMachine> | ChartTable<typeof executorMachine>, initial: string) {
  const table = chart as ChartTable<typeof nodeLoopMachine>
  let place = { value: initial, context: {} } as never
  return {
    send: (event: NodeLoopEvent | ExecutorEvent) => {
      const next = table.move(place, event as NodeLoopEvent)
      if (next === undefined) throw new Error(`refused ${event.type}`)
      place = next as never
    },
    state: () => (place as { value: string }).value,
  } as never
}
