import { describe, expect, it } from 'vitest'
import { emptySnapshot, progressOf } from '../../src/node/snapshot-projection.js'
import { migrationPhases } from '../../src/node/vocabulary.js'
import { chainId, daemon, daemonId, epoch, minute, nodeId, self, TestNode } from './support/node.js'

describe('a snapshot', () => {
  it('says nothing but whose it is before anything is known (N-126)', () => {
    const node = new TestNode()
    expect(JSON.parse(JSON.stringify(emptySnapshot(node.state.version(), epoch)))).toEqual({
      epoch,
      node: self,
      pass: 0,
      daemons: {},
      replicas: {},
      peers: {},
      blobs: {},
      avoidList: {},
      localMaintenance: { status: 'active', isDrain: false },
      isCordoned: false,
      participants: {},
      recentlyEmitted: [],
      recentFailures: [],
      adminAudit: [],
      logRing: [],
      inFlightMigrations: [],
    })
  })

  it('counts the age of a daemon from its start while it runs, and from its end while it does not (N-88)', () => {
    const node = new TestNode()
    const ageAt = (now: number): number | undefined => {
      node.tick(now)
      return node.snapshot().daemons.get(daemonId(1))?.ageMs
    }
    node.intent(1, 'run')
    expect(ageAt(5)).toBe(0)
    node.signal(1, { type: 'started', at: 10 })
    expect(ageAt(30)).toBe(20)
    node.signal(1, { type: 'crashed', at: 25, reason: 'boom' })
    expect(ageAt(31)).toBe(6)
    node.signal(1, { type: 'exited_cleanly', at: 28 })
    expect(ageAt(32)).toBe(4)
    node.signal(1, { type: 'exited_cleanly', at: 20 })
    expect(ageAt(33)).toBe(8)
    node.signal(1, { type: 'started', at: 40 })
    expect(ageAt(34)).toBe(0)
  })

  it('shows a daemon with the node that it is seen from (N-88)', () => {
    const node = new TestNode()
    node.tick(100)
    node.intent(1, 'run')
    node.signal(1, { type: 'crashed', at: 100, reason: 'boom' })
    node.signal(1, { type: 'health_changed', at: 100, health: { status: 'unhealthy' } })
    node.signal(1, { type: 'saturation_changed', at: 100, saturation: 0.25 })
    expect(node.snapshot().daemons.get(daemonId(1))).toEqual({
      id: daemonId(1),
      name: 'daemon 1',
      lifecycle: 'stopped',
      health: { status: 'unhealthy' },
      saturation: 0.25,
      restart: { status: 'backing_off', remainingMs: 500 },
      intent: 'run',
      placement: self,
      ageMs: 0,
    })
  })

  it('shows chains that are only wished for, without holders or leader (N-126)', () => {
    const node = new TestNode()
    node.desired(1, 3)
    expect(node.snapshot().replicas.get(chainId(1))).toEqual({ chain: chainId(1), holders: [], desiredReplicas: 3 })
  })

  it('counts every time from the last tick, and none below zero (N-20, N-126)', () => {
    const node = new TestNode()
    node.tick(1000)
    node.admin({ type: 'drain', node: self, drainForMs: 500 })
    node.admin({ type: 'freeze_cluster', ttlMs: minute })
    node.fold({ type: 'rtt_sample', peer: nodeId(2), rttMs: 900 })
    const mark = { type: 'mark_avoid', peer: nodeId(2), reason: 'far', ttlMs: 5000 } as const
    node.fold({ type: 'reconciled', enqueued: [mark] })
    const action = { type: 'start_daemon', daemon: daemon(1) } as const
    const emitted = [900, 1000, 9000].map((emittedAt, index) => ({ id: index + 1, action, emittedAt }))
    node.tick(1200)
    expect(node.snapshot({ recentlyEmitted: emitted })).toMatchObject({
      localMaintenance: {
        status: 'entering_maintenance',
        sinceMs: 200,
        deadlineRemainingMs: 300,
        isDrain: true,
      },
      freezeRemainingMs: minute - 200,
      recentlyEmitted: [
        { id: 1, kind: 'start_daemon', ageMs: 300 },
        { id: 2, kind: 'start_daemon', ageMs: 200 },
        { id: 3, kind: 'start_daemon', ageMs: 0 },
      ],
    })
    expect([...node.snapshot().avoidList.values()]).toEqual([{ peer: nodeId(2), reason: 'far', remainingMs: 4800 }])
    node.tick(2000)
    expect(node.snapshot().localMaintenance.deadlineRemainingMs).toBe(0)
    node.fold({
      type: 'maintenance_transition_observed',
      node: self,
      state: { status: 'drain_failed', since: 2000, reason: 'late' },
    })
    expect(node.snapshot().localMaintenance).toEqual({
      status: 'drain_failed',
      sinceMs: 0,
      reason: 'late',
      isDrain: false,
    })
  })

  it('is frozen, in order, and cannot be changed through what it shows (N-126)', () => {
    const node = new TestNode()
    node.intent(2, 'run')
    node.intent(1, 'run')
    node.holders(1, 3)
    const snapshot = node.snapshot()
    expect([...snapshot.daemons.keys()]).toEqual([daemonId(1), daemonId(2)])
    expect(Object.isFrozen(snapshot)).toBe(true)
    expect(Object.isFrozen(snapshot.daemons.get(daemonId(1)))).toBe(true)
    expect(Object.isFrozen(snapshot.replicas.get(chainId(1))?.holders)).toBe(true)
    expect('set' in snapshot.daemons).toBe(false)
    const seen: string[] = []
    snapshot.daemons.forEach(({ name }, id, map) => seen.push(`${name} ${id === daemonId(1)} ${map.has(id)}`))
    expect(seen).toEqual(['daemon 1 true true', 'daemon 2 false true'])
    expect([...snapshot.daemons].length).toBe(snapshot.daemons.size)
    expect(snapshot.daemons.get(daemonId(3))).toBeUndefined()
  })

  it('says how far a migration is (N-126)', () => {
    expect(migrationPhases.map(progressOf)).toEqual([10, 30, 50, 70, 90, 100])
  })
})
