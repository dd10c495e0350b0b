import fc from 'fast-check'
import { expect, it } from 'vitest'
import { BoundedQueue } from '../../src/base/bounded-queue.js'

it('behaves like a list that loses its first entry when it grows too long', () => {
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.constant('push') },
    { weight: 3, arbitrary: fc.constant('shift') },
    { weight: 1, arbitrary: fc.constant('clear') },
  )
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 7 }), fc.array(step, { maxLength: 100 }), (capacity, steps) => {
      const queue = new BoundedQueue<number>(capacity)
      let list: number[] = []
      for (const [number, action] of steps.entries()) {
        if (action === 'push') {
          expect(queue.push(number)).toBe(list.length < capacity)
          list = [...list, number].slice(-capacity)
        } else if (action === 'shift') expect(queue.shift()).toBe(list.shift())
        else {
          expect(queue.clear()).toBe(list.length)
          list = []
        }
        expect(queue.size).toBe(list.length)
      }
    }),
  )
})
