import { describe, expect, it } from 'vitest'
import { defineDaemon } from '../../src/node/daemon-runners.js'
import type { NodeAction } from '../../src/node/action.js'
import { chainId, node, openWorld, settle, thisNode } from './support/node-world.js'

describe('the pipeline (row 85)', () => {
  it('starts a daemon that is wished for, and stops it when it is not any more', async () => {
    const world = await openWorld()
    let running = 0
    const indexer = defineDaemon('indexer', async ({ signal }) => {
      running += 1
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      running -= 1
    })
    await world.node.runDaemon(indexer)
    await world.tick()
    expect(running).toBe(1)
    await world.tick()
    expect(world.snapshot.daemons.get(indexer.daemon.id)).toMatchObject({ lifecycle: 'running', intent: 'run' })
    expect(world.jobs.list()).toMatchObject([{ room: 'node', kind: 'callback', displayName: 'indexer' }])
    await world.node.stopDaemon(indexer)
    await world.tick(2)
    expect(running).toBe(0)
    expect(world.snapshot.daemons.get(indexer.daemon.id)).toMatchObject({ lifecycle: 'stopped' })
    expect(world.jobs.size).toBe(0)
  })

  it('pulls what it is to hold from another holder, and drops what it is told to', async () => {
    const done: NodeAction['type'][] = []
    const world = await openWorld({
      replicas: { pull: () => void done.push('pull_replica'), drop: () => void done.push('drop_replica') },
    })
    await world.node.publish({ type: 'replica_update', change: 'added', chain: chainId(7), holder: node(2) })
    await world.node.publish({ type: 'replica_update', change: 'added', chain: chainId(8), holder: thisNode })
    await world.node.publish({ type: 'local_replica_intent', chain: chainId(7), intent: 'hold' })
    await world.node.submit({
      type: 'admin_event',
      event: { type: 'drop_replicas', node: thisNode, chains: [chainId(8)] },
    })
    await world.tick()
    expect(done).toEqual(['pull_replica', 'drop_replica'])
  })

  it('enters maintenance on an empty node', async () => {
    const world = await openWorld()
    const entering = world.node.submit({ type: 'admin_event', event: { type: 'enter_maintenance', node: thisNode } })
    await settle()
    expect(await entering).toMatchObject({ outcome: { status: 'unverified' } })
    await world.tick(2)
    expect(world.snapshot.localMaintenance).toMatchObject({ status: 'maintenance' })
  })
})
