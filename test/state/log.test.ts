import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/base/json.js'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { Lane } from '../../src/lane/lane.js'
import { open as openLane } from '../lane/support/fixture.js'
import { createGate } from './support/gate.js'

async function openGate(store = createMemoryJournal()) {
  const gate = createGate()
  const lane = await Lane.open({ store, streamFor: (name) => (name === 'gate' ? gate.log : undefined) })
  gate.log.start(lane)
  const admit = (...visitors: readonly number[]) => lane.submit(gate.log, () => gate.admission(visitors))
  return { ...gate, lane, store, admit }
}

/** What can be seen of a gate. */
const pictureOf = ({ name, knocks, admitted }: ReturnType<typeof createGate>['state']) =>
  structuredClone({ name, knocks, admitted })

const knock = (sequence: number): JsonObject => ({ type: 'knocked', version: 1, sequence, visitor: sequence })
const admission = (sequence: number): JsonObject => ({ type: 'admitted', version: 1, sequence, visitor: sequence })
const begun = (name: string, sequence = 1): JsonObject => ({ type: 'gate_opened', version: 1, sequence, name })

describe('a log', () => {
  it('numbers what is noted and what waits until it is durable apart from each other', async () => {
    const { lane, journal } = await openLane()
    const { log, begin, knock: knockAs, admission: admissionOf } = createGate()
    log.start(lane)
    begin('north')
    knockAs(7)
    void lane.submit(log, () => admissionOf([7, 8]))
    knockAs(9)
    const at = (fact: JsonObject) => [fact['type'], fact['sequence']]
    expect(journal.underWay.flat().map((record) => at((record as readonly JsonObject[])[1] as JsonObject))).toEqual([
      ['gate_opened', 1],
      ['knocked', 2],
      ['admitted', 1],
      ['admitted', 2],
      ['knocked', 3],
    ])
  })

  it('gives the numbers of a decision back with it, and those of notes never', async () => {
    const gate = await openGate()
    const { state, lane, store, admit, knock: knockAs } = gate
    store.failNext('write')
    const refused = admit(1)
    knockAs(1)
    await expect(refused).rejects.toMatchObject({ code: 'lane_not_appended' })
    knockAs(2)
    await admit(2)
    await lane.close()
    expect(pictureOf((await openGate(store)).state)).toEqual(pictureOf(state))
    expect(state).toMatchObject({ knocks: [1, 2], admitted: [2] })
  })

  it('takes no number for a note that no journal can take', async () => {
    const { lane, journal } = await openLane()
    const { log, knock: knockAs } = createGate()
    log.start(lane)
    journal.throwNext = new Error('too large')
    expect(() => knockAs(1)).toThrow('too large')
    knockAs(2)
    expect(journal.underWay).toEqual([[['gate', { ...knock(1), visitor: 2 }]]])
  })

  it('makes no event where there is no journal, and none before it has a lane', async () => {
    const gate = createGate()
    expect(() => gate.knock(1)).toThrow(expect.objectContaining({ code: 'stream_not_started' }))
    const lane = await Lane.open({ streamFor: () => undefined })
    gate.log.start(lane)
    gate.log.note(() => {
      throw new Error('made')
    })
    await lane.submit(gate.log, () => gate.admission([1]))
    expect(gate.state.sequence.latest).toBe(0)
    expect([...gate.log.capture()]).toEqual([])
  })

  it.each([
    ['a gap in the notes', [begun('north'), knock(3)]],
    ['a gap in the decisions', [begun('north'), admission(2)]],
    ['a note that comes again', [begun('north'), knock(2), knock(2)]],
    ['a decision that comes again', [begun('north'), admission(1), admission(1)]],
    ['a history that begins in its midst', [begun('north', 2)]],
  ])('refuses %s', (_, records) => {
    const { log } = createGate()
    const replay = () => records.forEach((record) => log.replay(record))
    expect(replay).toThrow(expect.objectContaining({ code: 'replay_sequence' }))
  })

  const rows: readonly JsonObject[] = [
    { row: 'header', version: 1, sequence: 1, notes: 2, counts: { gate: 1 } },
    { row: 'gate', version: 1, name: 'north', knocks: [5], admitted: [6] },
    { row: 'end' },
  ]

  it('skips the notes that its snapshot holds, and no others', () => {
    const { log, state } = createGate()
    for (const row of rows) log.restore(row)
    for (const record of [begun('north'), knock(2), admission(2), knock(3)]) log.replay(record)
    expect(pictureOf(state)).toEqual({ name: 'north', knocks: [5, 3], admitted: [6, 2] })
    expect(() => log.replay(knock(3))).toThrow(expect.objectContaining({ code: 'replay_sequence' }))
    expect(() => log.replay(admission(2))).toThrow(expect.objectContaining({ code: 'replay_sequence' }))
  })

  it('numbers from 1 again where another history begins, behind a snapshot too', () => {
    const { log, state } = createGate()
    for (const row of rows) log.restore(row)
    for (const record of [knock(2), begun('south'), knock(2), admission(1)]) log.replay(record)
    expect(pictureOf(state)).toEqual({ name: 'south', knocks: [2], admitted: [1] })
  })
})

describe('replay equals live', () => {
  const act = fc.oneof(
    { weight: 4, arbitrary: fc.record({ type: fc.constant('knock' as const), visitor: fc.nat(9) }) },
    { weight: 4, arbitrary: fc.record({ type: fc.constant('admit' as const), visitors: fc.array(fc.nat(9)) }) },
    { weight: 1, arbitrary: fc.constant({ type: 'compact' as const }) },
    { weight: 1, arbitrary: fc.constant({ type: 'refuse the write' as const }) },
  )
  /** What is done in one turn, nothing of which is durable before the next. */
  const turns = fc.array(fc.array(act, { maxLength: 6 }), { maxLength: 15 })

  it('with notes ahead of decisions, snapshots among them and writes that are taken back', async () => {
    const property = fc.asyncProperty(turns, async (history) => {
      const store = createMemoryJournal()
      let gate = await openGate(store)
      gate.begin('north')
      for (const turn of history) {
        const ends: Promise<unknown>[] = []
        for (const next of turn) {
          if (next.type === 'knock') gate.knock(next.visitor)
          else if (next.type === 'admit') ends.push(gate.admit(...next.visitors))
          else if (next.type === 'compact') ends.push(gate.lane.compact())
          else store.failNext('write')
        }
        await Promise.allSettled(ends)
        await gate.lane.settled()
        const live = pictureOf(gate.state)
        await gate.lane.close()
        gate = await openGate(store)
        expect(pictureOf(gate.state)).toEqual(live)
        expect(gate.state.sequence.latest).toBe(live.admitted.length)
      }
      await gate.lane.close()
    })
    await fc.assert(property, { numRuns: 100 })
  })

  it('up to some note, after a crash: what was durable is there, and a part of what was noted behind it', async () => {
    const property = fc.asyncProperty(turns, fc.boolean(), async (history, isFlushed) => {
      const store = createMemoryJournal()
      const gate = await openGate(store)
      gate.begin('north')
      await gate.lane.settled()
      const acknowledged: number[] = []
      for (const turn of history) {
        for (const next of turn) {
          if (next.type === 'knock') gate.knock(next.visitor)
          else if (next.type === 'admit') {
            const { visitors } = next
            gate.admit(...visitors).then(
              () => acknowledged.push(...visitors),
              () => {},
            )
          } else if (next.type === 'compact') gate.lane.compact().catch(() => {})
        }
        if (isFlushed) await gate.lane.settled()
      }
      const live = pictureOf(gate.state)
      const known = [...acknowledged]
      store.crash()
      const { state } = await openGate(store)
      expect(state.admitted.slice(0, known.length)).toEqual(known)
      expect(live.knocks.slice(0, state.knocks.length)).toEqual(state.knocks)
      if (isFlushed) expect(pictureOf(state)).toEqual(live)
    })
    await fc.assert(property, { numRuns: 100 })
  })
})
