import { describe, expect, it } from 'vitest'
import { adjacencyMapToArray, getAdjacencyMap } from 'xstate/graph'
import { clusterBackpressureChart, clusterBackpressureMachine } from '../../machines/cluster-backpressure.js'
import { freezeGateChart, freezeGateMachine, initialFreeze, type FreezeMove } from '../../machines/freeze-gate.js'
import {
  initialMaintenance,
  maintenanceChart,
  maintenanceMachine,
  type MaintenanceMove,
  type MaintenancePlace,
} from '../../machines/maintenance.js'
import { maintenanceStatuses, type MaintenanceStatus } from '../../machines/node-vocabulary.js'

/** What may be observed after what (N-40), written down independently of the chart. */
const successors: Readonly<Record<MaintenanceStatus, readonly MaintenanceStatus[]>> = {
  active: ['entering_maintenance'],
  entering_maintenance: ['maintenance', 'drain_failed'],
  maintenance: ['exiting_maintenance', 'drain_failed'],
  exiting_maintenance: ['recovery'],
  drain_failed: ['exiting_maintenance'],
  recovery: ['active'],
}

const enter: MaintenanceMove = { type: 'enter', at: 3, deadline: 9, isDrain: false }
const exit: MaintenanceMove = { type: 'exit', at: 4 }
const state = { since: 5 }

function placeIn(value: MaintenanceStatus): MaintenancePlace {
  return { value, context: { ...initialMaintenance.context, since: 1, isDrain: true } }
}

describe('maintenance', () => {
  it.each(maintenanceStatuses)('follows the table from %s (N-40)', (from) => {
    for (const to of maintenanceStatuses) {
      const next = maintenanceChart.move(placeIn(from), { type: `observe_${to}`, state })?.value
      expect({ to, next }).toEqual({ to, next: to === from || successors[from].includes(to) ? to : undefined })
    }
    expect(maintenanceChart.move(placeIn(from), enter)?.value).toBe('entering_maintenance')
    const mayExit = from === 'maintenance' || from === 'drain_failed'
    expect(maintenanceChart.move(placeIn(from), exit)?.value).toBe(mayExit ? 'exiting_maintenance' : undefined)
    const restored = maintenanceChart.move(placeIn(from), { type: 'restore_recovery', state })
    expect(restored?.value).toBe(from === 'active' ? 'recovery' : undefined)
  })

  it('remembers that it is a drain until it exits, enters anew or fails (N-118)', () => {
    const isDrain = (move: MaintenanceMove, from: MaintenanceStatus) =>
      maintenanceChart.move(placeIn(from), move)?.context.isDrain
    expect(isDrain({ type: 'observe_maintenance', state }, 'entering_maintenance')).toBe(true)
    expect(isDrain({ type: 'observe_drain_failed', state }, 'entering_maintenance')).toBe(false)
    expect(isDrain({ type: 'observe_exiting_maintenance', state }, 'maintenance')).toBe(false)
    expect(isDrain(exit, 'maintenance')).toBe(false)
    expect(isDrain(enter, 'maintenance')).toBe(false)
  })

  it('is a chart that XState walks as the table does', () => {
    const events: MaintenanceMove[] = [enter, exit]
    for (const status of maintenanceStatuses) {
      events.push({ type: `observe_${status}`, state })
      if (status !== 'active') events.push({ type: `restore_${status}`, state })
    }
    const steps = adjacencyMapToArray(getAdjacencyMap(maintenanceMachine, { events }))
    expect(new Set(steps.map((step) => step.state.value))).toEqual(new Set(maintenanceStatuses))
    for (const { state: before, event, nextState } of steps) {
      const next = maintenanceChart.move(before, event)
      if (next === undefined) expect(nextState.value).toEqual(before.value)
      else expect(next).toEqual({ value: nextState.value, context: nextState.context })
    }
  })
})

describe('the freeze gate', () => {
  const after = (...moves: readonly FreezeMove[]) =>
    moves.reduce((place, move) => freezeGateChart.move(place, move) ?? place, initialFreeze)

  it('holds until the latest instant, a thaw, or a tick at that instant (N-36)', () => {
    const freeze = (until: number): FreezeMove => ({ type: 'freeze', until })
    expect(after(freeze(5)).context.until).toBe(5)
    expect(after(freeze(5), freeze(3)).context.until).toBe(5)
    expect(after(freeze(5), freeze(8)).context.until).toBe(8)
    expect(after(freeze(5), { type: 'tick', at: 4 }).value).toBe('frozen')
    expect(after(freeze(5), { type: 'tick', at: 5 })).toEqual({ value: 'thawed', context: { until: undefined } })
    expect(after(freeze(5), { type: 'thaw' })).toEqual({ value: 'thawed', context: { until: undefined } })
    expect(freezeGateChart.select(initialFreeze, { type: 'thaw' }).isTaken).toBe(false)
  })

  it('is a chart that XState walks as the table does', () => {
    const events: FreezeMove[] = [
      { type: 'freeze', until: 5 },
      { type: 'freeze', until: 3 },
      { type: 'thaw' },
      { type: 'tick', at: 4 },
    ]
    const steps = adjacencyMapToArray(getAdjacencyMap(freezeGateMachine, { events }))
    expect(steps).toHaveLength(3 * events.length)
    for (const { state: before, event, nextState } of steps) {
      const next = freezeGateChart.move(before, event) ?? before
      expect({ value: next.value, context: next.context }).toEqual({
        value: nextState.value,
        context: nextState.context,
      })
    }
  })
})

describe('cluster backpressure', () => {
  const depth = (value: number) => ({ type: 'depth', depth: value, threshold: 1000, release: 200 }) as const
  const next = (value: 'steady' | 'asserted', waiting: number) =>
    clusterBackpressureChart.move({ value, context: {} }, depth(waiting))?.value

  it('is asserted at the threshold, released at the release, and stays in between (N-72)', () => {
    expect([999, 1000].map((waiting) => next('steady', waiting))).toEqual([undefined, 'asserted'])
    expect([1001, 500, 201, 200, 100].map((waiting) => next('asserted', waiting))).toEqual([
      undefined,
      undefined,
      undefined,
      'steady',
      'steady',
    ])
  })

  it('is a chart that XState walks as the table does', () => {
    const map = getAdjacencyMap(clusterBackpressureMachine, { events: [depth(100), depth(500), depth(1000)] })
    const steps = adjacencyMapToArray(map)
    expect(steps).toHaveLength(6)
    for (const { state: before, event, nextState } of steps) {
      const place = { value: before.value, context: {} }
      expect(clusterBackpressureChart.move(place, event)?.value ?? before.value).toBe(nextState.value)
    }
  })
})
