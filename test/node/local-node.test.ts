import { describe, expect, it } from 'vitest'
import { defineDaemon } from '../../src/node/daemon-runners.js'
import type { NodeAction } from '../../src/node/action.js'
import { chainId, node, openWorld, settle, thisNode } from './support/node-world.js'

const keeps = defineDaemon('keeps', async ({ signal }) => {
  await new Promise((resolve) => signal.addEventListener('abort', resolve))
})

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

describe('what the executor writes down', () => {
  it('[N-416] row 74: an action stands whatever the journal says to its record, which is counted', async () => {
    const world = await openWorld({ daemons: [keeps] })
    const { history } = world
    const append = history.append.bind(history)
    history.append = (chain, ...values) =>
      chain === 'action' ? Promise.reject(new Error('the disk is full')) : append(chain, ...values)
    await world.node.runDaemon(keeps.daemon)
    await world.tick(2)
    expect(world.snapshot.daemons.get(keeps.daemon.id)?.lifecycle).toBe('running')
    expect(world.node.stats).toMatchObject({ executor: { dispatched: 1, failed: 0 }, chains: { refused: 1, lost: 0 } })
    expect(world.node.chains.action.rows()).toEqual([])
  })

  it('[N-400] rows 76, 84: a failure stands in the snapshot and in its chain, the same record', async () => {
    const world = await openWorld()
    await world.node.runDaemon(keeps.daemon)
    await world.tick(2)
    const [failure, ...others] = world.snapshot.recentFailures
    expect(others).toEqual([])
    expect(failure).toMatchObject({ seq: 1, source: 'action-id:1', reason: expect.stringContaining('keeps') })
    const [entry] = world.node.chains.failure.rows()
    expect(entry?.record).toMatchObject({ source: failure?.source, reason: failure?.reason })
  })
})
