import { getEventListeners } from 'node:events'
import { expect, it } from 'vitest'
import { onAbort } from '../../src/base/abort.js'

const listenersOn = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length

it('a thousand waits put one listener on a signal, are called once each in their order, and leave none', () => {
  const { signal, abort } = controllerOf()
  const called: number[] = []
  for (let wait = 0; wait < 1000; wait += 1) onAbort(signal, () => called.push(wait))
  expect(listenersOn(signal)).toBe(1)
  abort()
  abort()
  expect(called).toEqual(Array.from({ length: 1000 }, (_, wait) => wait))
  expect(listenersOn(signal)).toBe(0)
})

it('a wait that is over is not called, and the last one takes the listener along', () => {
  const { signal, abort } = controllerOf()
  const called: string[] = []
  const forget = ['one', 'two', 'three'].map((name) => onAbort(signal, () => called.push(name)))
  forget[0]?.()
  forget[0]?.()
  expect(listenersOn(signal)).toBe(1)
  forget[1]?.()
  forget[2]?.()
  expect(listenersOn(signal)).toBe(0)
  onAbort(signal, () => called.push('four'))
  forget[2]?.()
  abort()
  expect(called).toEqual(['four'])
})

it('the same callback may wait twice', () => {
  const { signal, abort } = controllerOf()
  let calls = 0
  const count = (): void => void (calls += 1)
  const forget = onAbort(signal, count)
  onAbort(signal, count)
  onAbort(signal, count)
  forget()
  abort()
  expect(calls).toBe(2)
})

it('no signal, and one that has aborted, call nobody', () => {
  const aborted = AbortSignal.abort()
  const fail = (): void => {
    throw new Error('called')
  }
  onAbort(undefined, fail)()
  onAbort(aborted, fail)()
  expect(listenersOn(aborted)).toBe(0)
})

function controllerOf() {
  const controller = new AbortController()
  return { signal: controller.signal, abort: () => controller.abort() }
}
