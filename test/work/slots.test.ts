import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DeadlineQueue } from '../../src/base/deadline-queue.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import type { Slot, SlotClaim } from '../../src/work/slot.js'
import { Slots, type SlotsOptions } from '../../src/work/slots.js'

function setUp(options: Partial<SlotsOptions> = {}) {
  const clock = new SimulatedClock()
  const slots = new Slots({ clock, deadlines: new DeadlineQueue(clock), ...options })
  const log: string[] = []
  const held = new Map<string, Slot>()
  /** Asks for a slot; its name appears in the log once it has one. */
  const ask = (name: string, claim: SlotClaim = { kind: 'a' }, signal?: AbortSignal) =>
    slots.take(claim, signal === undefined ? {} : { signal }).then(
      (slot) => {
        held.set(name, slot)
        log.push(name)
      },
      (reason: unknown) => void log.push(`${name}: ${(reason as { code?: string }).code ?? String(reason)}`),
    )
  const release = (name: string) => held.get(name)?.release()
  const settled = () => new Promise(setImmediate)
  return { clock, slots, log, held, ask, release, settled }
}

describe('the line', () => {
  it('is first come, first served', async () => {
    const { log, ask, release, settled } = setUp({ limit: 2 })
    for (const name of ['1', '2', '3', '4']) void ask(name)
    await settled()
    expect(log).toEqual(['1', '2'])
    release('2')
    await settled()
    release('1')
    await settled()
    expect(log).toEqual(['1', '2', '3', '4'])
  })

  it('calls back who came in line with a callback, in order, also from within; who leaves is not called', () => {
    const { slots } = setUp({ limit: 1 })
    const log: string[] = []
    const kept: Slot[] = []
    const enter = (name: string, more = (): void => {}) =>
      slots.enter({ kind: 'a' }, (slot) => {
        log.push(name)
        kept.push(slot)
        more()
      })
    enter('at once')
    // What comes in line while somebody is let in stands behind those who wait, though there is room.
    enter('first', () => {
      slots.setLimit(3)
      enter('late')
    })
    const leave = enter('leaves')
    enter('second')
    leave()
    leave()
    expect([log, slots.waiting]).toEqual([['at once'], 2])
    kept[0]?.release()
    expect(log).toEqual(['at once', 'first', 'second', 'late'])
    expect([slots.taken, slots.waiting]).toEqual([3, 0])
  })

  it('lets nobody wait for a limit that is not his', async () => {
    const { slots, log, ask, release, settled } = setUp({ limit: 3 })
    slots.configure('a', { limit: 1 })
    for (const name of ['a1', 'a2', 'a3']) void ask(name)
    void ask('b1', { kind: 'b' })
    await settled()
    expect([log, slots.taken, slots.waiting]).toEqual([['a1', 'b1'], 2, 2])
    release('a1')
    await settled()
    expect(log).toEqual(['a1', 'b1', 'a2'])
  })

  it('lets one of each key in at a time, and more where the kind says so', async () => {
    const { slots, log, ask, release, settled } = setUp()
    slots.configure('wide', { limitPerKey: 2 })
    void ask('x1', { kind: 'a', key: 'x' })
    void ask('x2', { kind: 'b', key: 'x' })
    void ask('y1', { kind: 'a', key: 'y' })
    for (const name of ['z1', 'z2', 'z3']) void ask(name, { kind: 'wide', key: 'z' })
    await settled()
    expect(log).toEqual(['x1', 'y1', 'z1', 'z2'])
    release('x1')
    release('z2')
    await settled()
    expect(log).toEqual(['x1', 'y1', 'z1', 'z2', 'x2', 'z3'])
  })

  it('keeps to a rate, which counts starts and not what runs', async () => {
    const { clock, slots, log, ask, release, settled } = setUp()
    slots.configure('a', { rate: { starts: 2, perMs: 1000 } })
    void ask('1')
    clock.advance(400)
    for (const name of ['2', '3', '4']) void ask(name)
    await settled()
    release('1')
    release('2')
    expect(slots.blockOf({ kind: 'a' })).toEqual({ by: 'rate', kind: 'a', untilMs: 1000 })
    clock.advance(599)
    await settled()
    expect(log).toEqual(['1', '2'])
    clock.advance(1)
    await settled()
    expect(log).toEqual(['1', '2', '3'])
    clock.advance(400)
    await settled()
    expect(log).toEqual(['1', '2', '3', '4'])
    expect(clock.pendingTimeouts).toBe(0)
  })

  it('forgets whoever gives up, and lets in whom he held up', async () => {
    const { slots, log, ask, release, settled } = setUp({ limit: 1 })
    const abort = new AbortController()
    void ask('1')
    void ask('2', { kind: 'a' }, abort.signal)
    void ask('3')
    await settled()
    abort.abort('changed my mind')
    await settled()
    expect([log, slots.waiting]).toEqual([['1', '2: changed my mind'], 1])
    release('1')
    await settled()
    expect(log.at(-1)).toBe('3')
    await ask('4', { kind: 'a' }, AbortSignal.abort('too late'))
    expect(log.at(-1)).toBe('4: too late')
  })

  it('ends with its owner', async () => {
    const { clock, slots, log, ask, settled } = setUp({ limit: 5 })
    slots.configure('slow', { rate: { starts: 1, perMs: 1000 } })
    void ask('1', { kind: 'slow' })
    void ask('2', { kind: 'slow' })
    await settled()
    expect(clock.pendingTimeouts).toBe(1)
    slots[Symbol.dispose]()
    await settled()
    expect(log).toEqual(['1', '2: slots_closed'])
    expect([slots.waiting, clock.pendingTimeouts]).toEqual([0, 0])
  })

  it('follows a limit that changes', async () => {
    const { slots, log, ask, settled } = setUp({ limit: 1 })
    slots.configure('a', { limit: 2 })
    for (const name of ['1', '2', '3']) void ask(name)
    slots.setLimit(9)
    await settled()
    expect(log).toEqual(['1', '2'])
    slots.configure('a', {})
    await settled()
    expect(log).toEqual(['1', '2', '3'])
  })
})

describe('a slot', () => {
  it('is given back while its owner waits, and taken again before those who have not started', async () => {
    const { log, held, ask, release, settled } = setUp({ limit: 1 })
    void ask('parent')
    await settled()
    void ask('child')
    void ask('stranger')
    const parent = held.get('parent') as Slot
    const answer = parent.during(async () => {
      await settled()
      return 'answer'
    })
    await settled()
    expect([log, parent.isTaken]).toEqual([['parent', 'child'], false])
    await settled()
    release('child')
    expect(await answer).toBe('answer')
    expect([log, parent.isTaken]).toEqual([['parent', 'child'], true])
    release('parent')
    await settled()
    expect(log).toEqual(['parent', 'child', 'stranger'])
  })

  it('gives its key back or keeps it, as its owner likes', async () => {
    const { log, held, ask, settled } = setUp()
    const claim = { kind: 'a', key: 'x' }
    void ask('1', claim)
    await settled()
    const one = held.get('1') as Slot
    one.giveBack({ keepKey: true })
    void ask('2', claim)
    await settled()
    expect(log).toEqual(['1'])
    await one.takeAgain()
    one.release({ keepKey: true })
    await settled()
    expect(log).toEqual(['1'])
    one.freeKey()
    one.freeKey()
    await settled()
    expect(log).toEqual(['1', '2'])
    void ask('3', claim)
    await settled()
    expect(log).toEqual(['1', '2'])
  })

  it('that was released while it stood in line is not taken', async () => {
    const { slots, held, ask, release, settled } = setUp({ limit: 1 })
    void ask('1')
    await settled()
    const one = held.get('1') as Slot
    one.giveBack()
    void ask('2')
    await settled()
    const again = one.takeAgain()
    one.release()
    release('2')
    await again
    expect([one.isTaken, slots.taken]).toEqual([false, 0])
  })

  it('can be taken past the line, or not at all', async () => {
    const { slots, ask, settled } = setUp({ limit: 2 })
    slots.configure('a', { limit: 1 })
    void ask('1')
    void ask('2')
    await settled()
    expect(slots.tryTake({ kind: 'a' })).toBeUndefined()
    expect(slots.blockOf({ kind: 'a' })).toEqual({ by: 'kind', kind: 'a' })
    expect(slots.tryTake({ kind: 'b' })).toBeDefined()
    expect(slots.blockOf({ kind: 'b' })).toEqual({ by: 'all' })
  })
})

describe('whatever happens', () => {
  const step = fc.oneof(
    fc.record({
      do: fc.constant('ask' as const),
      kind: fc.constantFrom('a', 'b'),
      key: fc.constantFrom(undefined, 'x', 'y'),
    }),
    fc.record({ do: fc.constantFrom('release' as const, 'give back' as const, 'take again' as const), nth: fc.nat(5) }),
    fc.record({ do: fc.constant('abort' as const), nth: fc.nat(5) }),
    fc.record({ do: fc.constant('advance' as const), ms: fc.nat(200) }),
  )

  it('no limit is exceeded, nobody who fits stands in line, and in the end everything is free', async () => {
    const property = fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const clock = new SimulatedClock()
      const slots = new Slots({ limit: 3, clock, deadlines: new DeadlineQueue(clock) })
      slots.configure('a', { limit: 2, rate: { starts: 2, perMs: 100 } })
      slots.configure('b', { limitPerKey: 2 })
      const owned: { slot: Slot; claim: SlotClaim }[] = []
      const inLine: { claim: SlotClaim; abort: AbortController; isDone: boolean }[] = []
      const check = () => {
        const running = owned.filter(({ slot }) => slot.isTaken)
        const of = (test: (claim: SlotClaim) => boolean) => running.filter(({ claim }) => test(claim)).length
        expect(slots.taken).toBe(running.length)
        expect(running.length).toBeLessThanOrEqual(3)
        expect(of(({ kind }) => kind === 'a')).toBeLessThanOrEqual(2)
        for (const key of ['x', 'y']) expect(of((claim) => claim.key === key)).toBeLessThanOrEqual(2)
        for (const { claim } of inLine.filter(({ isDone }) => !isDone)) expect(slots.blockOf(claim)).toBeDefined()
      }
      for (const next of steps) {
        if (next.do === 'ask') {
          const claim = { kind: next.kind, ...(next.key !== undefined && { key: next.key }) }
          const asked = { claim, abort: new AbortController(), isDone: false }
          inLine.push(asked)
          void slots
            .take(claim, { signal: asked.abort.signal })
            .then((slot) => owned.push({ slot, claim }))
            .catch(() => {})
            .finally(() => (asked.isDone = true))
        } else if (next.do === 'advance') clock.advance(next.ms)
        else if (next.do === 'abort') inLine[next.nth]?.abort.abort()
        else {
          const slot = owned[next.nth]?.slot
          if (next.do === 'release') slot?.release()
          else if (next.do === 'give back') slot?.giveBack()
          else void slot?.takeAgain().catch(() => {})
        }
        await new Promise(setImmediate)
        check()
      }
      slots[Symbol.dispose]()
      await new Promise(setImmediate)
      for (const { slot } of owned) slot.release()
      expect([slots.taken, slots.waiting, clock.pendingTimeouts]).toEqual([0, 0, 0])
      expect(slots.blockOf({ kind: 'b', key: 'x' })).toBeUndefined()
    })
    await fc.assert(property, { numRuns: 150 })
  })
})
