import { expect, it } from 'vitest'
import { ContactProbe, nodeOfGraphId } from '../../src/node/contact-probe.js'
import { SimulatedClock } from '../../src/testing/index.js'
import { node, NodeWorld, settle, thisNode } from './support/node-world.js'

it('[N-422] says how peers are by the time that has passed since they were heard of', () => {
  const clock = new SimulatedClock()
  const contacts = new ContactProbe(thisNode, clock)
  contacts.heardOf(thisNode, 1)
  contacts.heardOf(node(2), 12)
  contacts.heardOf(node(3))
  expect(contacts.locality.sample()).toEqual([[node(2), 12]])
  const healths = () => contacts.health.sample().map(([, health]) => health)
  expect(healths()).toEqual(['healthy', 'healthy'])
  clock.advance(1499)
  expect(healths()).toEqual(['healthy', 'healthy'])
  clock.advance(1)
  contacts.heardOf(node(3))
  expect(healths()).toEqual(['degraded', 'healthy'])
  clock.advance(3500)
  expect(healths()).toEqual(['unreachable', 'degraded'])
  contacts.forget(node(2))
  expect(contacts.locality.sample()).toEqual([])
})

it('[N-422] knows a node by the first eight bytes of its id in the graph, the last of them first', () => {
  const id = Uint8Array.from({ length: 32 }, (_, index) => index + 1)
  expect(nodeOfGraphId(id)).toBe('0807060504030201')
  expect(() => nodeOfGraphId(id.slice(0, 7))).toThrowError(expect.objectContaining({ code: 'invalid_input' }))
})

it('[N-420] takes nothing of a probe that says what is no sample', async () => {
  const world = await NodeWorld.open()
  world.node.probes.add('locality', {
    sample: () => [
      [node(2), 5],
      [node(3), Number.NaN],
    ],
  })
  await world.tick()
  expect(world.snapshot.peers.size).toBe(0)
  expect(world.node.stats.faults).toEqual({ 'locality probe': 1 })
  await world.close()
})

it('[N-440] a transition is on disk before it is observed', async () => {
  const world = await NodeWorld.open()
  const seen: string[] = []
  const { change } = world.history
  world.history.change = (given) => {
    const [kept] = given.keep ?? []
    if (kept?.content.type === 'maintenance') seen.push(`written ${kept.content.status}`)
    return change.call(world.history, given)
  }
  world.node.onSnapshot(({ localMaintenance: { status } }) => {
    if (seen.at(-1) !== `seen ${status}`) seen.push(`seen ${status}`)
  })
  await world.node.submit({ type: 'admin_event', event: { type: 'enter_maintenance', node: thisNode } })
  await world.tick(2)
  await settle()
  const written = seen.indexOf('written maintenance')
  expect(written).toBeGreaterThanOrEqual(0)
  expect(written).toBeLessThan(seen.indexOf('seen maintenance'))
  await world.close()
})
