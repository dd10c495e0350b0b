import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { DeadlineQueue } from '../../src/base/deadline-queue.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'

describe('DeadlineQueue', () => {
  it('fires deadlines in order of due time, ties in the order they were set', () => {
    const clock = new SimulatedClock()
    const queue = new DeadlineQueue(clock)
    const fired: string[] = []
    queue.after(30, () => fired.push('c'))
    queue.after(10, () => fired.push('a'))
    queue.after(30, () => fired.push('d'))
    queue.after(20, () => fired.push('b'))
    clock.advance(29)
    expect(fired).toEqual(['a', 'b'])
    clock.advance(1)
    expect(fired).toEqual(['a', 'b', 'c', 'd'])
  })

  it('holds one timer however many deadlines are pending, and none when it is empty', () => {
    const clock = new SimulatedClock()
    const queue = new DeadlineQueue(clock)
    const deadlines = Array.from({ length: 100 }, (_, index) => queue.after(1000 + index, () => {}))
    expect(clock.pendingTimeouts).toBe(1)
    for (const deadline of deadlines) deadline[Symbol.dispose]()
    expect(clock.pendingTimeouts).toBe(0)
  })

  it('lets a callback set and forget deadlines', () => {
    const clock = new SimulatedClock()
    const queue = new DeadlineQueue(clock)
    const fired: string[] = []
    const doomed = queue.after(20, () => fired.push('doomed'))
    queue.after(10, () => {
      doomed[Symbol.dispose]()
      queue.after(5, () => fired.push('late'))
    })
    clock.advance(100)
    expect(fired).toEqual(['late'])
  })

  it('leaves nothing behind when disposed, and takes nothing afterwards', () => {
    const clock = new SimulatedClock()
    const queue = new DeadlineQueue(clock)
    let fired = 0
    queue.after(1, () => fired++)
    queue[Symbol.dispose]()
    queue.after(1, () => fired++)
    clock.advance(10)
    expect([fired, clock.pendingTimeouts, queue.size]).toEqual([0, 0, 0])
  })

  it('fires exactly the deadlines that were neither forgotten nor still ahead', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ delay: fc.nat(50), forgotten: fc.boolean() }), { maxLength: 60 }),
        fc.nat(60),
        (plan, horizon) => {
          const clock = new SimulatedClock()
          const queue = new DeadlineQueue(clock)
          const fired: number[] = []
          const set = plan.map(({ delay }, index) => queue.after(delay, () => fired.push(index)))
          plan.forEach(({ forgotten }, index) => forgotten && set[index]?.[Symbol.dispose]())
          clock.advance(horizon)
          const expected = plan
            .map(({ delay, forgotten }, index) => ({ delay, forgotten, index }))
            .filter(({ delay, forgotten }) => !forgotten && delay <= horizon)
            .toSorted((one, other) => one.delay - other.delay || one.index - other.index)
            .map(({ index }) => index)
          expect(fired).toEqual(expected)
        },
      ),
    )
  })
})
