import { describe, expect, it } from 'vitest'
import { daemonSupervisionMachine, type SupervisionMove } from '../../machines/daemon-supervision.js'
import { freezeGateMachine, type FreezeMove } from '../../machines/freeze-gate.js'
import { maintenanceMachine, type MaintenanceMove } from '../../machines/maintenance.js'
import { maintenanceStatuses } from '../../machines/node-vocabulary.js'
import type { FoldEvent } from '../../src/node/fold-event.js'
import type { MaintenanceState } from '../../src/node/maintenance.js'
import { nodeDefaults } from '../../src/node/options.js'
import { followWalk, walkChart, type ChartSystem } from '../../src/testing/chart-walks.js'
import { daemon, daemonId, self, TestNode } from './support/node.js'

/** Folds what a move of a chart stands for; throws when nothing has come of it, as a system does that refuses. */
function foldOrRefuse(node: TestNode, event: FoldEvent, read: () => unknown): void {
  const before = read()
  node.fold(event)
  if (read() === before) throw new Error(`${event.type} has changed nothing`)
}

describe('walks through the chart of maintenance', () => {
  const state = { since: 0, deadline: 9 }
  const events: MaintenanceMove[] = [
    { type: 'enter', at: 0, deadline: 9, isDrain: false },
    { type: 'exit', at: 0 },
  ]
  for (const status of maintenanceStatuses) {
    events.push({ type: `observe_${status}`, state })
    if (status !== 'active') events.push({ type: `restore_${status}`, state })
  }

  function eventOf(move: MaintenanceMove): FoldEvent {
    if (move.type === 'enter') {
      return { type: 'admin_event', event: { type: 'enter_maintenance', node: self, drainForMs: 9 } }
    }
    if (move.type === 'exit') return { type: 'admin_event', event: { type: 'exit_maintenance', node: self } }
    const status = move.type.replace(/^(observe|restore)_/, '')
    const told = { status, ...move.state } as MaintenanceState
    return move.type.startsWith('observe')
      ? { type: 'maintenance_transition_observed', node: self, state: told }
      : { type: 'maintenance_restored', state: told }
  }

  it.each(walkChart(maintenanceMachine, { events, cover: 'transitions' }).map((walk) => [walk.name, walk] as const))(
    'are gone by the fold: %s (N-40)',
    async (_, walk) => {
      const node = new TestNode()
      const system: ChartSystem<typeof maintenanceMachine> = {
        send: (move) => foldOrRefuse(node, eventOf(move), () => node.state.maintenance),
        state: () => node.snapshot().localMaintenance.status,
      }
      await expect(followWalk(walk, system)).resolves.toBeUndefined()
    },
  )
})

describe('walks through the chart of a daemon', () => {
  const { backoff } = nodeDefaults.supervision
  const events: SupervisionMove[] = [
    { type: 'start', at: 0, answerBy: 1 },
    { type: 'stop', deadline: 0, answerBy: 1 },
    { type: 'started', at: 0, backoff },
    { type: 'exited_cleanly', at: 0, backoff },
    { type: 'crashed', at: 0, backoff },
    { type: 'force_release' },
    { type: 'restore_gate', until: 5, isCrashLooping: false },
    { type: 'restore_gate', until: 5, isCrashLooping: true },
  ]

  function eventOf(move: SupervisionMove): FoldEvent {
    const of = daemon(1)
    switch (move.type) {
      case 'start':
        return { type: 'reconciled', enqueued: [{ type: 'start_daemon', daemon: of }] }
      case 'stop':
        return { type: 'reconciled', enqueued: [{ type: 'stop_daemon', daemon: of, reason: '', deadline: 0 }] }
      case 'started':
      case 'exited_cleanly':
        return { type: 'daemon_lifecycle', daemon: of, signal: { type: move.type, at: move.at } }
      case 'crashed':
        return { type: 'daemon_lifecycle', daemon: of, signal: { type: 'crashed', at: move.at, reason: 'boom' } }
      case 'force_release':
        return { type: 'admin_event', event: { type: 'force_restart_daemon', daemon: of } }
      case 'restore_gate':
        return { type: 'gate_restored', daemon: of, until: move.until, isCrashLooping: move.isCrashLooping }
      case 'tick':
        return { type: 'tick', at: move.at }
    }
  }

  const walks = walkChart(daemonSupervisionMachine, {
    events,
    cover: 'transitions',
    distinguish: ({ context: { crashes } }) => Math.min(crashes.length, backoff.crashLoopThreshold),
  })

  it('are gone by the fold, whatever it refuses at their ends (N-100)', async () => {
    expect(walks.length).toBeGreaterThan(20)
    for (const walk of walks) {
      const node = new TestNode()
      node.intent(1, 'run')
      const place = () => node.state.daemon(daemonId(1))?.place
      await followWalk(walk, {
        send: (move) => foldOrRefuse(node, eventOf(move), place),
        state: () => place()?.value ?? 'unknown',
      })
    }
  })
})

describe('walks through the freeze gate', () => {
  const events: FreezeMove[] = [{ type: 'freeze', until: 50 }, { type: 'thaw' }, { type: 'tick', at: 50 }]

  it.each(walkChart(freezeGateMachine, { events, cover: 'transitions' }).map((walk) => [walk.name, walk] as const))(
    'are gone by the fold: %s (N-36)',
    async (_, walk) => {
      const node = new TestNode()
      const system: ChartSystem<typeof freezeGateMachine> = {
        send: (move) => {
          const event: FoldEvent =
            move.type === 'tick'
              ? move
              : {
                  type: 'admin_event',
                  event: move.type === 'thaw' ? { type: 'thaw_cluster' } : { type: 'freeze_cluster', ttlMs: 50 },
                }
          foldOrRefuse(node, event, () => node.state.freeze)
        },
        state: () => node.state.freeze.value,
      }
      await expect(followWalk(walk, system)).resolves.toBeUndefined()
    },
  )
})
