import { describe, expect, it } from 'vitest'
import { createActor, createMachine, type InspectionEvent } from 'xstate'
import { followRoot, HeldInspection, Inspection, inspectOption, isWatched } from '../../src/base/inspection.js'
import { silentLogger } from '../../src/base/logger.js'

const machine = createMachine({ id: 'door', initial: 'shut', states: { shut: { on: { open: 'open' } }, open: {} } })

function doorOf(inspection: Inspection) {
  const actor = createActor(machine, inspectOption(inspection, silentLogger))
  followRoot(inspection, actor)
  return actor.start()
}

describe('viewers of actors', () => {
  it('are told of what happens while they look, and of nothing before and after', () => {
    const inspection = new Inspection()
    const actor = doorOf(inspection)
    expect(isWatched(inspection)).toBe(false)
    const seen: string[] = []
    const look = inspection.watch((event) => {
      if (event.type === '@xstate.event') seen.push(event.event.type)
    })
    expect(isWatched(inspection)).toBe(true)
    actor.send({ type: 'open' })
    doorOf(inspection)
    expect(seen).toEqual(['open', 'xstate.init'])
    look[Symbol.dispose]()
    actor.send({ type: 'open' })
    doorOf(inspection)
    expect(seen).toHaveLength(2)
  })

  it('never make XState tell an observer twice, and break nothing by throwing', () => {
    const told: string[] = []
    const inspection = new Inspection(({ type }: InspectionEvent) => told.push(type))
    const actor = doorOf(inspection)
    const before = told.length
    actor.send({ type: 'open' })
    const perEvent = told.length - before
    using _ = inspection.watch(() => {
      throw new Error('viewer')
    })
    actor.send({ type: 'open' })
    expect(actor.getSnapshot().value).toBe('open')
    expect(told.length - before).toBe(2 * perEvent)
  })

  it('are not told of actors that have stopped, which are forgotten', () => {
    const inspection = new Inspection()
    const actor = doorOf(inspection)
    expect([...inspection.roots]).toEqual([actor])
    actor.stop()
    expect([...inspection.roots]).toEqual([])
  })

  it('are told of a change when it is whole', () => {
    const inspection = new Inspection()
    const held = new HeldInspection(inspection, silentLogger)
    const actor = createActor(machine, held.option)
    held.follow(actor)
    actor.start()
    expect(held.isWatched).toBe(false)
    const seen: string[] = []
    using _ = inspection.watch(({ type }) => seen.push(type))
    held.hold()
    actor.send({ type: 'open' })
    expect(seen).toEqual([])
    held.release()
    expect(seen).toContain('@xstate.snapshot')
  })
})
