import { expect, it } from 'vitest'
import { LoopShare } from '../../src/base/loop-share.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

it('a share lasts ten milliseconds of one turn, from the first time it was asked', async () => {
  const clock = new SimulatedClock()
  const share = new LoopShare(clock)
  clock.advance(1000)
  expect(share.isUsedUp).toBe(false)
  clock.advance(9)
  expect(share.isUsedUp).toBe(false)
  clock.advance(1)
  expect(share.isUsedUp).toBe(true)
  await turn()
  expect(share.isUsedUp).toBe(false)
})

it('who waits goes on in the next turn, 64 in each, in the order they came; others come after them', async () => {
  const share = new LoopShare(new SimulatedClock())
  const wentOn: number[] = []
  for (let number = 0; number < 100; number += 1) share.nextTurn(() => wentOn.push(number))
  expect([wentOn.length, share.isUsedUp]).toEqual([0, true])
  await turn()
  expect([wentOn.length, share.isUsedUp]).toEqual([64, true])
  await turn()
  expect(wentOn).toEqual(Array.from({ length: 100 }, (_, number) => number))
  expect(share.isUsedUp).toBe(false)
})

it('while the clock stands still a share is 1,000 questions of one turn', async () => {
  const share = new LoopShare(new SimulatedClock())
  const answers = Array.from({ length: 1001 }, () => share.isUsedUp)
  expect(answers.indexOf(true)).toBe(1000)
  await turn()
  expect(share.isUsedUp).toBe(false)
})

it('a clock that moves is asked as often as there is time', () => {
  const clock = new SimulatedClock()
  const share = new LoopShare(clock)
  for (let asked = 0; asked < 9; asked += 1) {
    clock.advance(1)
    expect(Array.from({ length: 999 }, () => share.isUsedUp)).not.toContain(true)
  }
})
