import { describe, expect, it } from 'vitest'
import { checkClock, checkedClock } from '../../src/base/checked-clock.js'
import { checkedIds } from '../../src/base/checked-ids.js'
import { systemClock, type Clock } from '../../src/base/clock.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'

/** A clock that shows what it is told to. */
function faceOf(wall: unknown, monotonic: unknown) {
  const face = { wall, monotonic }
  const clock = {
    ...systemClock,
    wallNow: () => face.wall as number,
    monotonicNow: () => face.monotonic as number,
  } satisfies Clock
  return { face, clock }
}

const refusedAt = (field: string) =>
  expect.objectContaining({ code: 'invalid_input', data: expect.objectContaining({ subject: 'clock', field }) })

describe('a clock held to its contract', () => {
  it.each([Number.NaN, -1, 8.64e15 + 1, Number.POSITIVE_INFINITY, '5', 5n, undefined, null])(
    'is refused at once when its wall shows %o',
    (wall) => {
      expect(() => checkedClock(faceOf(wall, 0).clock)).toThrow(refusedAt('wallNow'))
    },
  )

  it.each([Number.NaN, Number.NEGATIVE_INFINITY, '5', undefined])(
    'is refused at once when it counts %o',
    (monotonic) => {
      expect(() => checkedClock(faceOf(0, monotonic).clock)).toThrow(refusedAt('monotonicNow'))
    },
  )

  it('is refused once it counts backwards, and taken again when it has caught up', () => {
    const { face, clock } = faceOf(5, 100)
    const checked = checkedClock(clock)
    face.monotonic = 99
    expect(() => checkClock(checked)).toThrow(refusedAt('monotonicNow'))
    face.monotonic = 100
    checkClock(checked)
  })

  it('may be set back: only the monotonic reading never is', () => {
    const { face, clock } = faceOf(5000, 0)
    const checked = checkedClock(clock)
    face.wall = 10
    checkClock(checked)
    expect(checked.wallNow()).toBe(10)
  })

  it('shows the last good reading to whoever has something to finish', () => {
    const { face, clock } = faceOf(5, 100)
    const checked = checkedClock(clock)
    face.wall = Number.NaN
    face.monotonic = 7
    expect([checked.wallNow(), checked.monotonicNow()]).toEqual([5, 100])
    face.wall = 6
    face.monotonic = 101
    expect([checked.wallNow(), checked.monotonicNow()]).toEqual([6, 101])
  })

  it('that throws is refused with what it threw, and shows the last good reading meanwhile', () => {
    const broken = new Error('no time')
    let isBroken = false
    const read = (): number => {
      if (isBroken) throw broken
      return 3
    }
    const checked = checkedClock({ ...systemClock, wallNow: read, monotonicNow: read })
    isBroken = true
    expect(() => checkClock(checked)).toThrow(expect.objectContaining({ code: 'invalid_input', cause: broken }))
    expect([checked.wallNow(), checked.monotonicNow()]).toEqual([3, 3])
  })

  it('keeps the timers of the clock it holds', () => {
    const clock = new SimulatedClock()
    const checked = checkedClock(clock)
    const fired: string[] = []
    checked.setTimeout(() => fired.push('kept'), 10)
    checked.clearTimeout(checked.setTimeout(() => fired.push('cleared'), 10))
    clock.advance(10)
    expect(fired).toEqual(['kept'])
  })

  it('is the clock itself where that is the one of the process', () => {
    expect(checkedClock(systemClock)).toBe(systemClock)
  })
})

describe('a source of ids held to its contract', () => {
  const id = (number: number) => `01900000-0000-7000-8000-${String(number).padStart(12, '0')}`

  it.each([undefined, null, 5, '', 'x', id(1).toUpperCase().replace('0', 'A'), '00000000-0000-0000-0000-000000000000'])(
    'is refused for %o',
    (value) => {
      const source = checkedIds({ uuid: () => value as string })
      expect(() => source.uuid()).toThrow(
        expect.objectContaining({ code: 'invalid_input', data: expect.objectContaining({ field: 'uuid' }) }),
      )
    },
  )

  it('is refused for an id that came before, and goes on with the next', () => {
    const ids = [1, 2, 1, 3].map(id)
    const source = checkedIds({ uuid: () => ids.shift() as string })
    expect([source.uuid(), source.uuid()]).toEqual([id(1), id(2)])
    expect(() => source.uuid()).toThrow(expect.objectContaining({ code: 'invalid_input' }))
    expect(source.uuid()).toBe(id(3))
  })

  it('remembers a bounded number of them', () => {
    let next = 0
    const source = checkedIds({ uuid: () => id(next++) })
    for (let count = 0; count < 4097; count += 1) source.uuid()
    next = 1
    expect(() => source.uuid()).toThrow(expect.objectContaining({ code: 'invalid_input' }))
    next = 0
    expect(source.uuid()).toBe(id(0))
  })

  it('tells what it threw', () => {
    const broken = new Error('empty')
    const source = checkedIds({
      uuid: () => {
        throw broken
      },
    })
    expect(() => source.uuid()).toThrow(expect.objectContaining({ code: 'invalid_input', cause: broken }))
  })
})
